"""The timeline: what it says after every revision is what a real upgrade leaves there."""

import contextlib
import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from migdoctor.connect import address_of, open_reading
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import FactKey
from migdoctor.observe import kept, schema, timeline, timeline_cache
from migdoctor.observe.look import observe
from migdoctor.project.config import Request
from migdoctor.shadow import server
from migdoctor.target import open_target
from migdoctor.timeline import Timeline
from tests.observe.databases import driver, needs_extension
from tests.running import live_server

ENV = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool
{imports}
engine = create_engine(os.environ["TIMELINE_URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""
Revision = tuple[str, str | tuple[str, ...] | None, str]  # id, parents, body


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, sq: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of an empty live database, given to env.py by the environment."""
    if request.param == "sqlite":
        sq.touch()
        monkeypatch.setenv("TIMELINE_URL", f"sqlite:///{sq}")
        yield f"sqlite:///{sq}"
        return
    url = live_server().create("live")
    monkeypatch.setenv("TIMELINE_URL", url)
    yield url
    live_server().drop(url)


def made(
    folder: Path,
    revisions: list[Revision],
    *,
    options: str = "",
    imports: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    """A project; the body of a revision is that of upgrade(), then `--- ` and that of downgrade."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    env = ENV.replace("{imports}", imports).replace("{options}", options)
    (folder / "migrations" / "env.py").write_text(env)
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n"
        "path_separator = os\n"
    )
    for id, parents, body in revisions:
        write(folder, id, parents, body)
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    return folder


def write(folder: Path, id: str, parents: object, body: str, depends_on: object = None) -> None:
    up, _, down = textwrap.dedent(body).strip().partition("\n---\n")
    text = (
        f"from alembic import op\nimport sqlalchemy as sa\nrevision = {id!r}\n"
        f"down_revision = {parents!r}\ndepends_on = {depends_on!r}\n\n\n"
        f"def upgrade():\n{textwrap.indent(up or 'pass', '    ')}\n\n\n"
        f"def downgrade():\n{textwrap.indent(down or 'pass', '    ')}\n"
    )
    (folder / "migrations" / "versions" / f"{id}.py").write_text(text)


def of(folder: Path) -> Timeline:
    with open_target(Request(cwd=folder), quick=False) as target:
        return observe(target).timeline


def statements(seen: Timeline, id: str) -> list[str]:
    return [" ".join(s.sql.split()) for s in seen.revisions[id]]


def upgraded(folder: Path, url: str, to: str) -> dict[FactKey, str]:
    """Facts of the live database after a real upgrade."""
    command.upgrade(Config(str(folder / "alembic.ini")), to)
    with open_reading(address_of(url)) as session:
        return dict(schema.read(session, {}).facts)


COMMON: list[Revision] = [
    ("c01", None, """
        op.create_table("users", sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("email", sa.String(120), nullable=False),
            sa.Column("age", sa.Integer, sa.CheckConstraint("age > 0", name="ck_age"),
                      server_default="1"),
            sa.UniqueConstraint("email", name="uq_email"))
        op.create_index("ix_partial", "users", ["age"], sqlite_where=sa.text("age > 5"),
                        postgresql_where=sa.text("age > 5"))
        op.create_index("ix_lower", "users", [sa.text("lower(email)")], unique=True)"""),
    ("c02", "c01", """
        op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", name="fk_user")),
            sa.Column("total", sa.Integer),
            sa.Column("double", sa.Integer, sa.Computed("total * 2", persisted=True)))
        op.bulk_insert(sa.table("users", sa.column("id"), sa.column("email"), sa.column("age")),
                       [{"id": 1, "email": "50% off", "age": 7}, {"id": 2, "email": "b", "age": 8}])
        op.execute("UPDATE users SET email = 'it''s %' WHERE id = 1")"""),
    ("c03", "c02", """
        op.execute("CREATE VIEW rich AS SELECT u.id, o.total FROM users u"
                   " JOIN orders o ON o.user_id = u.id")
        op.execute("CREATE VIEW richer AS SELECT id FROM rich")"""),
    ("c04", "c03", """
        op.execute("DROP VIEW richer")
        op.execute("DROP VIEW rich")
        with op.batch_alter_table("users") as batch:
            batch.alter_column("email", type_=sa.Text(), existing_nullable=False)
            batch.add_column(sa.Column("nick", sa.String(40)))
        with op.batch_alter_table("users") as batch:
            batch.alter_column("nick", new_column_name="nickname")"""),
    ("c05", "c04", """
        op.rename_table("orders", "purchases")
        op.rename_table("users", "people")"""),
    ("c06", "c05", """
        op.drop_index("ix_partial", table_name="people")
        op.add_column("people", sa.Column("extra", sa.Integer))
        op.execute("ALTER TABLE people RENAME COLUMN extra TO more")"""),
    ("c07", "c06", """
        op.create_table("gone", sa.Column("id", sa.Integer, primary_key=True))
        op.drop_table("gone")
        assert op.get_bind().execute(sa.text("SELECT count(*) FROM people")).scalar() == 2"""),
]  # fmt: skip
SQLITE: list[Revision] = [
    ("s01", "c07", """
        op.execute("CREATE TRIGGER watch AFTER DELETE ON people BEGIN SELECT 1; SELECT 2; END")
        op.execute("CREATE TABLE plain (a INT PRIMARY KEY, b COLLATE NOCASE) WITHOUT ROWID")
        op.execute("CREATE TABLE auto (a INTEGER PRIMARY KEY AUTOINCREMENT)")"""),
    ("s02", "s01", """
        with op.batch_alter_table("people", recreate="always") as batch:
            batch.drop_constraint("uq_email", type_="unique")
            batch.create_index("ix_nickname", ["nickname"])
        raw = op.get_bind().connection.cursor()
        raw.execute("CREATE TABLE around (a INT)")"""),
    ("s03", "s02", """
        op.execute("DROP TABLE auto")
        connection = op.get_bind()
        connection.execute(sa.text("SAVEPOINT s"))
        connection.execute(sa.text("CREATE TABLE never (a INT)"))
        connection.execute(sa.text("ROLLBACK TO s"))
        connection.execute(sa.text("CREATE TABLE instead (a INT)"))"""),
]  # fmt: skip
POSTGRESQL: list[Revision] = [
    ("p01", "c07", """
        op.execute("CREATE TYPE mood AS ENUM ('sad', 'fine')")
        op.add_column("people", sa.Column("mood", sa.Enum(name="mood"), server_default="sad"))
        op.execute("CREATE DOMAIN amount AS integer CHECK (VALUE > 0)")
        op.execute("CREATE TABLE ids (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                   " a amount, s serial, n text COLLATE \\"C\\")")
        op.execute("CREATE SEQUENCE free INCREMENT 2")
        op.execute("ALTER SEQUENCE free OWNED BY ids.a")"""),
    ("p02", "p01", """
        op.execute("CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS"
                   " 'BEGIN RETURN new; END'")
        op.execute("CREATE TRIGGER tr BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION tf()")
        op.execute("CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql BEGIN ATOMIC"
                   " SELECT count(*) FROM people; END")
        op.execute("CREATE VIEW v AS SELECT id, more AS m FROM people")
        op.execute("CREATE MATERIALIZED VIEW mv AS SELECT m FROM v")
        op.execute("ALTER TABLE ids ENABLE ROW LEVEL SECURITY")
        op.execute("CREATE POLICY po ON ids USING (a > 1)")"""),
    ("p02a", "p02", """
        op.execute("CREATE VIEW pv AS SELECT user_id AS u FROM purchases")
        op.execute("CREATE MATERIALIZED VIEW pm AS SELECT u FROM pv")"""),
    ("p02b", "p02a", """
        op.execute("ALTER TABLE purchases RENAME COLUMN user_id TO owner_id")
        op.execute("ALTER VIEW pv RENAME COLUMN u TO uu")"""),
    ("p02c", "p02b", """
        nested = op.get_bind().begin_nested()
        op.execute("CREATE TABLE never (a int)")
        nested.rollback()
        op.execute("CREATE TABLE instead (a int)")"""),
    ("p03", "p02c", """
        op.execute("ALTER TABLE people RENAME TO folk")
        op.execute("ALTER TABLE folk RENAME COLUMN more TO much")
        op.execute("ALTER TYPE mood RENAME TO feeling")
        op.execute("ALTER FUNCTION tf() RENAME TO tg")
        op.execute("ALTER TABLE ids DISABLE TRIGGER ALL")"""),
    ("p04", "p03", """
        op.execute("DO $$BEGIN EXECUTE 'CREATE TABLE hidden (a int)';"
                   " EXECUTE 'CREATE INDEX ON hidden (a)'; END$$")
        op.get_bind().execute(sa.text("SELECT pg_sleep(0)"))
        with op.get_context().autocommit_block():
            op.execute("ALTER TYPE feeling ADD VALUE 'so so' BEFORE 'fine'")
            op.create_index("ix_late", "hidden", ["a"], postgresql_concurrently=True)
        op.execute("DROP INDEX hidden_a_idx")"""),
    ("p05", "p04", """
        op.execute("CREATE SCHEMA extra")
        op.create_table("t", sa.Column("a", sa.Integer), schema="extra")
        op.execute("CREATE TABLE parts (a int, b int) PARTITION BY RANGE (a)")
        op.execute("CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (9)")
        op.execute("ALTER TABLE parts ADD COLUMN c int")
        op.execute("CREATE INDEX ix_parts ON parts (b)")
        op.execute("CREATE TABLE kid (z int) INHERITS (hidden)")
        op.execute("ALTER TABLE hidden ADD COLUMN late text DEFAULT 'x'")"""),
    ("p06", "p05", """
        op.execute("ALTER TABLE extra.t SET SCHEMA public")
        op.execute("DROP SCHEMA extra")
        op.execute("DROP TABLE ids CASCADE")
        op.execute("DROP VIEW v CASCADE")
        op.execute("ALTER TABLE purchases DROP CONSTRAINT fk_user")
        op.execute("ALTER TABLE purchases ADD CONSTRAINT nv CHECK (total < 9) NOT VALID")
        op.execute("ALTER TABLE purchases VALIDATE CONSTRAINT nv")
        op.execute("COMMENT ON TABLE parts IS 'x'")
        op.execute("DROP TYPE feeling CASCADE")"""),
]  # fmt: skip
ATOMIC = r'BEGIN ATOMIC"\s+" (.*); END'


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection:sqlalchemy.exc.SAWarning")
def test_the_facts_at_every_revision_are_those_of_a_real_upgrade(tmp_path: Path, live: str) -> None:
    own = SQLITE if live.startswith("sqlite") else POSTGRESQL
    if own is POSTGRESQL and live_server().version < 14:  # which knows no body but a text
        own = [(id, down, re.sub(ATOMIC, r"AS '\1'", body)) for id, down, body in own]
    folder = made(tmp_path / "p", COMMON + own)
    seen = of(folder)
    assert (seen.rung, seen.failed) == ("replay", None)
    assert list(seen.revisions) == [id for id, _, _ in COMMON + own]
    past: list[str] = []
    for id in seen.revisions:
        past.append(id)
        assert seen.state(past) == upgraded(folder, live, id), id
    for id, recorded in seen.revisions.items():
        # What a delta takes away was there, and what it adds was not.
        state = seen.state(past[: past.index(id)])
        for one in recorded:
            assert one.removed.items() <= state.items(), (id, one.sql)
            assert not (one.added.items() & state.items()), (id, one.sql)
            assert not one.data or not (one.added or one.removed)
            state = {k: v for k, v in state.items() if k not in one.removed} | dict(one.added)


def test_statements_are_told_apart(tmp_path: Path, live: str) -> None:
    own = SQLITE if live.startswith("sqlite") else POSTGRESQL
    seen = of(made(tmp_path / "p", COMMON + own))
    data = [s for s in seen.revisions["c02"] if s.data]
    assert "UPDATE users SET email = 'it''s %' WHERE id = 1" in [s.sql for s in data]
    assert any("'50% off'" in s.sql for s in data)
    assert "SELECT count(*) FROM people" in statements(seen, "c07")
    texts = [text for id in seen.revisions for text in statements(seen, id)]
    assert not [t for t in texts if "alembic_version" in t or t.startswith(("PRAGMA", "SAVEPOINT"))]
    assert not [t for t in texts if "sqlite_master" in t or "pg_catalog.pg_class" in t]
    batches = [s.batch for s in seen.revisions["c04"]]
    if live.startswith("sqlite"):
        assert set(batches) == {None, "users", "users#2"}
        assert not any(s.data for s in seen.revisions["c04"])
        assert len(seen.units["c04"]) == 4  # two views, two rebuilds
        assert "-- sent around SQLAlchemy" in statements(seen, "s02")
        assert not [k for k in seen.state(seen.revisions) if k.table == "never"]
        return
    assert set(batches) == {None}
    late = {" ".join(s.sql.split())[:12]: s.autocommit for s in seen.revisions["p04"]}
    assert (late["ALTER TYPE fe"[:12]], late["CREATE INDEX"], late["DROP INDEX h"]) == (
        True, True, False,
    )  # fmt: skip
    hidden = next(s for s in seen.revisions["p04"] if s.sql.startswith("DO"))
    assert FactKey("public", "hidden", "table", "") in hidden.added
    assert next(s for s in seen.revisions["p04"] if "pg_sleep" in s.sql).data


BRANCHES: list[tuple[str, object, str, object]] = [
    ("a", None, 'op.create_table("a", sa.Column("x", sa.Integer))', None),
    ("b1", "a", 'op.add_column("a", sa.Column("b1", sa.Integer))', None),
    ("b2", "a", 'op.create_table("b2", sa.Column("x", sa.Integer))', None),
    ("m", ("b1", "b2"), "pass", None),
    ("z", None, 'op.create_table("z", sa.Column("x", sa.Integer))', None),
    ("z2", "z", 'op.execute("CREATE VIEW vz AS SELECT b1 FROM a")', "b1"),
]


def test_branches_merges_and_dependencies_are_followed(tmp_path: Path, live: str) -> None:
    folder = made(tmp_path / "p", [])
    for id, parents, body, depends_on in BRANCHES:
        write(folder, id, parents, body, depends_on)
    seen = of(folder)
    order = list(seen.revisions)
    assert set(order) == {"a", "b1", "b2", "m", "z", "z2"}
    assert order.index("b1") < order.index("z2")
    assert seen.units["m"] == ()
    (unit,) = seen.units["b2"]
    assert {key.table for key in unit.added} == {"b2"}
    assert seen.state(order) == upgraded(folder, live, "heads")


FAILING: list[Revision] = [
    ("f1", None, 'op.create_table("t", sa.Column("x", sa.Integer))'),
    ("f2", "f1", 'op.add_column("t", sa.Column("y", sa.Integer))'),
    ("f3", "f2", 'op.create_table("u", sa.Column("x", sa.Integer))\nop.execute("nonsense")'),
    ("f4", "f3", 'op.create_table("w", sa.Column("x", sa.Integer))'),
]


def test_a_failing_revision_ends_the_prefix(tmp_path: Path, live: str) -> None:
    seen = of(made(tmp_path / "p", FAILING))
    assert list(seen.revisions) == ["f1", "f2"]
    assert seen.rung == "replay"
    assert seen.failed is not None
    assert seen.failed[0] == "f3"
    assert "nonsense" in seen.failed[1] or "syntax" in seen.failed[1]
    assert not [k for k in seen.touched if k.table in ("u", "w")]


def test_data_that_is_not_there_is_left_out(tmp_path: Path, live: str) -> None:
    rows = (
        'op.create_table("t", sa.Column("x", sa.Integer, nullable=False))\n'
        'op.create_table("u", sa.Column("x", sa.Integer, unique=True))\n'
        'op.execute("INSERT INTO u VALUES (1)")\n'
        'op.execute("INSERT INTO u VALUES (1)")\n'
        't = sa.table("t", sa.column("x"))\n'
        'op.bulk_insert(t, [{"x": 1}, {"x": 2}])\n'
        "op.get_bind().execute(t.insert(), [{'x': 3}, {'x': 4}])\n"
    )
    seen = of(made(tmp_path / "p", [("d1", None, rows), ("d2", "d1", FAILING[3][2])]))
    assert (seen.rung, seen.failed) == ("replay-without-data", None)
    assert list(seen.revisions) == ["d1", "d2"]
    assert statements(seen, "d1").count("INSERT INTO u VALUES (1)") == 2
    assert {k.table for k in seen.touched} == {"t", "u", "w"} | (
        set() if live.startswith("sqlite") else {""}
    )


MODELS = """\
import sqlalchemy as sa
metadata = sa.MetaData()
sa.Table("legacy", metadata, sa.Column("id", sa.Integer, primary_key=True),
         sa.Column("new", sa.Integer), sa.Column("old", sa.Integer))
sa.Table("own", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""
STANDING: list[Revision] = [
    ("l1", None, """
        op.add_column("legacy", sa.Column("new", sa.Integer))
        ---
        op.execute("ALTER TABLE legacy DROP COLUMN new")"""),
    ("l2", "l1", """
        op.create_table("own", sa.Column("id", sa.Integer, primary_key=True))
        ---
        op.drop_table("own")"""),
]  # fmt: skip


def test_a_history_without_a_beginning_stands_on_the_models(tmp_path: Path, live: str) -> None:
    folder = made(
        tmp_path / "p", STANDING, imports="import models",
        options=", target_metadata=models.metadata", files={"models.py": MODELS},
    )  # fmt: skip
    seen = of(folder)
    assert (seen.rung, seen.failed) == ("rebuilt-base", None)
    home = "main" if live.startswith("sqlite") else "public"
    assert FactKey(home, "legacy", "column", "old") in seen.base
    assert FactKey(home, "legacy", "column", "new") not in seen.base
    assert not [k for k in seen.base if k.table == "own"]
    assert [len(seen.units[id]) for id in ("l1", "l2")] == [1, 1]
    assert seen.created is not None
    assert FactKey(home, "legacy", "column", "new") in seen.created
    assert not seen.stands


def test_a_rebuilt_base_goes_down_as_far_as_downgrades_lead(tmp_path: Path, live: str) -> None:
    broken = (STANDING[0][0], None, STANDING[0][2].replace("DROP COLUMN new", "nonsense"))
    folder = made(
        tmp_path / "p", [broken, STANDING[1]], imports="import models",
        options=", target_metadata=models.metadata", files={"models.py": MODELS},
    )  # fmt: skip
    seen = of(folder)
    assert (seen.rung, seen.failed) == ("rebuilt-base", None)
    assert (seen.stands, list(seen.revisions)) == (frozenset({"l1"}), ["l2"])
    home = "main" if live.startswith("sqlite") else "public"
    assert FactKey(home, "legacy", "column", "new") in seen.base
    assert not [k for k in seen.base if k.table == "own"]


def test_what_the_models_make_is_noted_and_taken_back(tmp_path: Path, live: str) -> None:
    folder = made(
        tmp_path / "p", [("a1", None, STANDING[1][2].replace("sa.Integer", "sa.String(9)"))],
        imports="import models", options=", target_metadata=models.metadata",
        files={"models.py": MODELS},
    )  # fmt: skip
    seen = of(folder)
    assert (seen.rung, seen.failed) == ("replay", None)
    assert not [k for k in seen.base if k.table in ("own", "legacy")]
    assert seen.created is not None
    assert {k.table for k in seen.created} >= {"own", "legacy"}
    assert not [k for k in seen.state(seen.revisions) if k.table == "legacy"]


def test_without_models_the_footprint_of_what_runs_is_left(tmp_path: Path, live: str) -> None:
    more: list[Revision] = [
        (
            f"n{n}",
            f"n{n - 1}" if n else "l1",
            f'op.create_table("n{n}", sa.Column("x", sa.Integer))',
        )
        for n in range(3)
    ]
    seen = of(made(tmp_path / "p", [STANDING[0], *more]))
    assert seen.rung == "footprint"
    assert seen.failed is not None
    assert seen.failed[0] == "l1"
    assert list(seen.revisions) == ["n0", "n1", "n2"]
    assert all(len(units) == 1 for units in seen.units.values())


def test_what_cannot_be_replayed_is_said(tmp_path: Path, live: str) -> None:
    folder = made(tmp_path / "p", [("x", None, 'op.execute("nonsense")')])
    with open_target(Request(cwd=folder), quick=False) as target:
        seen = observe(target)
        with pytest.raises(NotObserved, match="revision x fails"):
            timeline.read(target, seen)
    (folder / "migrations" / "env.py").write_text("raise RuntimeError('no settings')\n")
    with open_target(Request(cwd=folder, url=live), quick=False) as target:
        seen = observe(target)
        with pytest.raises(NotObserved, match="no settings"):
            _ = seen.timeline
        with pytest.raises(NotObserved):
            _ = seen.position
    with open_target(Request(cwd=folder, url=live), quick=True) as target:
        seen = observe(target)
        with pytest.raises(NotApplicable):
            _ = seen.timeline


# --- the cache ----------------------------------------------------------------------------------


class Replays:
    """Counts how often a timeline was really made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        real = timeline._Climb.best

        def best(climb: timeline._Climb) -> Timeline:
            self.made += 1
            return real(climb)

        monkeypatch.setattr(timeline._Climb, "best", best)

    def of(self, folder: Path, again: bool) -> Timeline:
        before = self.made
        seen = of(folder)
        assert self.made - before == int(again)
        return seen


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Replays:
    return Replays(monkeypatch)


@pytest.fixture
def cached(tmp_path: Path, sq: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose env.py and whose revision import modules of its own."""
    sq.touch()
    monkeypatch.setenv("TIMELINE_URL", f"sqlite:///{sq}")
    body = (
        "from app.names import NAME\n"
        'op.create_table(NAME, sa.Column("x", sa.Integer))\n'
        'with op.batch_alter_table(NAME) as batch:\n    batch.alter_column("x", nullable=False)\n'
        'op.execute("INSERT INTO t VALUES (1)")'
    )
    folder = made(tmp_path / "p", [("k1", None, body)], imports="from app import settings")
    (folder / "app").mkdir()
    for name, text in {
        "__init__.py": "",
        "names.py": 'from .deep import NAME\nimport os\nos.environ.get("K_PREFIX")\n',
        "deep.py": "NAME = 't'\n",
        "settings.py": "x = 1\n",
        "unused.py": "y = 1\n",
    }.items():
        (folder / "app" / name).write_text(text)
    return folder


def test_the_second_look_comes_from_the_cache(cached: Path, cache: Path, replays: Replays) -> None:
    first = replays.of(cached, again=True)
    assert replays.of(cached, again=False) == first
    assert cache.stat().st_mode & 0o777 == 0o700
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    (cached / "app" / "unused.py").write_text("y = 2\n")
    (cached / "notes.txt").write_text("unrelated\n")
    assert replays.of(cached, again=False) == first


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("migrations/versions/k1.py", '"x"', '"y"'),
        ("migrations/env.py", "pool\n", "pool as pool\n"),
        ("app/names.py", "import os", "import os as os"),
        ("app/deep.py", "'t'", "'T'"),
        ("app/settings.py", "1", "2"),
        ("alembic.ini", "path_separator = os", "path_separator = os\nmark = 1"),
    ],
)
def test_any_change_of_what_it_depends_on_is_a_miss(
    cached: Path, replays: Replays, name: str, old: str, new: str
) -> None:
    replays.of(cached, again=True)
    text = (cached / name).read_text()
    assert old in text
    (cached / name).write_text(text.replace(old, new))
    replays.of(cached, again=True)
    (cached / name).write_text(text)
    replays.of(cached, again=False)


def test_a_new_revision_and_a_new_setting_are_misses(
    cached: Path, replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays.of(cached, again=True)
    monkeypatch.setenv("K_PREFIX", "p")
    replays.of(cached, again=True)
    write(cached, "k2", "k1", 'op.create_table("u", sa.Column("x", sa.Integer))')
    assert list(replays.of(cached, again=True).revisions) == ["k1", "k2"]


def test_a_file_that_cannot_be_trusted_is_a_miss(
    cached: Path, cache: Path, replays: Replays, tmp_path: Path
) -> None:
    first = replays.of(cached, again=True)
    (file,) = cache.iterdir()
    good = file.read_bytes()
    for bad in (b"", b"junk", good[:-9], b"\0" + good):
        file.write_bytes(bad)
        assert replays.of(cached, again=True) == first
    file.chmod(0o622)
    assert replays.of(cached, again=True) == first
    (file,) = cache.iterdir()
    other = cache / ("0" * 64 + ".timeline")
    file.rename(other)  # the name of another key
    assert timeline_cache.load("0" * 64) is None
    replays.of(cached, again=True)


def test_without_a_cache_it_works_as_well(
    cached: Path, replays: Replays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(blocked / "below"))
    assert replays.of(cached, again=True) == replays.of(cached, again=True)


# --- the live database, and what is left behind -------------------------------------------------


def scratch() -> set[str]:
    return {p.name for p in Path(tempfile.gettempdir()).glob("migdoctor-scratch-*")}


def test_live_is_not_written_and_nothing_is_left(
    tmp_path: Path, live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "p", COMMON)
    own = tmp_path / "tmp"  # other workers have scratch files in the common folder
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    upgraded(folder, live, "c03")
    path = address_of(live).path
    before = path and (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
    with open_target(Request(cwd=folder), quick=False) as target:
        seen = observe(target)
        progress: list[tuple[str, int, int]] = []
        kept.folder().rename(tmp_path / "aside")
        timeline.read(target, seen, on_progress=lambda *said: progress.append(said))
    assert progress
    assert progress[0] == ("replay", 0, len(COMMON))
    assert seen.position.located == ("c03",)
    assert seen.position.certainty == "certain"
    assert scratch() == set()
    if path:
        assert before == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    else:
        with driver(server.running().admin_url) as admin:
            names = [n for (n,) in admin.execute("SELECT datname FROM pg_database").fetchall()]
        assert not [n for n in names if n.startswith("migdoctor_")]


def test_time_is_limited(tmp_path: Path, live: str) -> None:
    slow = "import time\ntime.sleep(1.5)\n"
    folder = made(tmp_path / "p", [("t1", None, slow + FAILING[0][2]), ("t2", "t1", "pass")])
    with open_target(Request(cwd=folder, url=live), quick=False) as target:
        seen = observe(target).without("timeline", NotObserved("timeline", "not yet"))
        kept.folder().rename(tmp_path / "aside")
        short = timeline.read(target, seen, limit=1)
        assert list(short.revisions) == ["t1"]
        assert short.failed is not None
        assert "time limit" in short.failed[1]
        assert not kept.folder().exists()  # what the clock cut short is not kept


def test_a_killed_doctor_leaves_no_file(tmp_path: Path, sq: Path) -> None:
    sq.touch()
    slow = 'import time, pathlib\npathlib.Path("running").touch()\ntime.sleep(60)\n'
    folder = made(tmp_path / "p", [("t1", None, slow)])
    code = (
        "import signal, sys\nfrom pathlib import Path\nfrom migdoctor.observe.look import observe\n"
        # A runner in the background hands SIGINT down as ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from migdoctor.project.config import Request\nfrom migdoctor.target import open_target\n"
        "with open_target(Request(cwd=Path(sys.argv[1])), quick=False) as t: observe(t)\n"
    )
    scratches = tmp_path / "tmp"
    scratches.mkdir()
    environment = os.environ | {"TMPDIR": str(scratches), "TIMELINE_URL": f"sqlite:///{sq}"}
    for sent in (signal.SIGKILL, signal.SIGINT):
        (folder / "running").unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", code, folder], env=environment, stderr=subprocess.DEVNULL
        ) as doctor:
            wait_until((folder / "running").exists)
            assert [p.name for p in scratches.glob("migdoctor-*")]
            doctor.send_signal(sent)
            doctor.wait(20)
        wait_until(lambda: not list(scratches.glob("migdoctor-*")))
    with contextlib.closing(sqlite3.connect(sq)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchall() == [(0,)]


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


# --- what live has and the history does not make ------------------------------------------------


def test_schemas_roles_and_extensions_are_there_beforehand(
    tmp_path: Path, pg: str, pg_run: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_extension(pg, "vector")
    monkeypatch.setenv("TIMELINE_URL", pg)
    pg_run("CREATE SCHEMA app; CREATE SCHEMA side; CREATE EXTENSION vector SCHEMA side")
    pg_run("CREATE ROLE t_reader")
    name = make_url(pg).database
    pg_run(f'ALTER DATABASE "{name}" SET search_path = app, public')
    history: list[Revision] = [
        ("e1", None, """
            op.create_table("t", sa.Column("x", sa.Integer))
            op.execute("ALTER TABLE t ADD COLUMN v side.vector(3)")
            op.execute("GRANT SELECT ON t TO t_reader")
            op.execute("CREATE SCHEMA made")
            op.create_table("u", sa.Column("x", sa.Integer), schema="made")"""),
    ]  # fmt: skip
    folder = made(tmp_path / "p", history, options=', version_table_schema="app"')
    try:
        seen = of(folder)
        assert (seen.failed, seen.incomparable) == (None, {})
        assert FactKey("app", "t", "column", "v") in seen.touched
        assert FactKey("made", "", "schema", "") not in seen.base
        assert seen.state(["e1"]) == upgraded(folder, pg, "head")
    finally:
        pg_run("DROP OWNED BY t_reader; DROP ROLE t_reader")


def test_what_needs_a_missing_extension_is_named(
    tmp_path: Path, pg: str, pg_run: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shadow has every extension of this server, so one is hidden from it."""
    needs_extension(pg, "vector")
    monkeypatch.setenv("TIMELINE_URL", pg)
    pg_run("CREATE EXTENSION vector; CREATE TABLE old (v vector(3)); CREATE TABLE fine (a int)")
    real = timeline.stage.postgresql_stage

    @contextlib.contextmanager
    def without(
        scene: timeline.Scene, setup: Callable[..., str], _shadow: None
    ) -> Iterator[timeline.Stage]:
        assert dict(scene.extensions) == {"vector": "public"}
        with real(replace(scene, extensions={"vectors": "public"}), setup) as made_stage:
            yield replace(made_stage, lacking=("vector",))

    monkeypatch.setattr(timeline.stage, "postgresql_stage", without)
    seen = of(made(tmp_path / "p", FAILING[:2]))
    assert set(seen.incomparable) == {"extension vector", "public.old"}
    assert "vector" in seen.incomparable["public.old"]
