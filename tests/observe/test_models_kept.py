"""A comparison that found nothing is used again only while it would find nothing again.

Each case changes one thing between two looks, of which the second has to see it. That the first one
was kept, and is used while nothing changes, is part of each test: else it would prove nothing.
"""

import sqlite3
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import ModelDiff
from migdoctor.model import Observation
from migdoctor.observe import kept, models, schema
from migdoctor.project.config import Request
from migdoctor.shadow import server
from migdoctor.target import Target, open_target
from tests.observe.databases import driver

MODELS = """\
    import sqlalchemy as sa

    metadata = sa.MetaData()
    sa.Table(
        "users", metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, server_default="x"),
        sa.Column("score", sa.Numeric(10, 2)),
    )
"""
ENV = """\
    from alembic import context
    from sqlalchemy import create_engine, pool
    import models

    url = context.config.get_main_option("sqlalchemy.url")
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        {before}
        context.configure(connection=connection, target_metadata=models.metadata, {options})
        with context.begin_transaction():
            context.run_migrations()
"""
USERS = """
    CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, score NUMERIC(10, 2),
      name VARCHAR(40) DEFAULT 'x' NOT NULL);
    CREATE TABLE junk (id INTEGER)"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    time.sleep(0.05)  # what is written while the project runs would not be kept


def project(
    folder: Path, url: str, text: str = MODELS, options: str = "", before: str = "pass"
) -> Path:
    write(folder / "alembic.ini", f"[alembic]\nscript_location = .\nsqlalchemy.url = {url}\n"
          "prepend_sys_path = .\npath_separator = os\n[app]\nleft_out = by_ini\n")  # fmt: skip
    write(folder / "models.py", text)
    write(folder / "env.py", ENV.format(before=before, options=options))
    return folder


@contextmanager
def opened(folder: Path, *x: str) -> Iterator[Callable[[], ModelDiff]]:
    """Compares, each time it is called; one run of the project's code for all."""
    with open_target(Request(cwd=folder, x=x), quick=False) as target:
        yield lambda: compared(target)


def compared(target: Target) -> ModelDiff:
    assert target.address
    with open_reading(target.address) as session:
        return models.compare(target, session, Observation(schema=schema.read(session, {})))


def look(folder: Path, *x: str) -> list[str]:
    with opened(folder, *x) as compare:
        return [drift.text for drift in compare().drifts]


def files() -> dict[str, int]:
    """What is kept: a file that was written anew has another number."""
    place = kept.folder()
    return {p.name: p.stat().st_ino for p in place.iterdir()} if place.exists() else {}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def live() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = server.running().create("kept")
    yield url
    server.running().drop(url)


@pytest.fixture
def sq(tmp_path: Path) -> Path:
    return sqlite_file(tmp_path / "live.db", USERS)


def sqlite_file(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


# --- the live database ----------------------------------------------------------------------------

PG_MODELS = """\
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql

    metadata = sa.MetaData()
    sa.Table(
        "owners", metadata, sa.Column("id", sa.Integer, primary_key=True, comment="the key"),
        sa.Column("number", sa.Integer, nullable=False), comment="who owns",
    )
    sa.Table(
        "users", metadata,
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, server_default="x"),
        sa.Column("owner", sa.Integer, sa.ForeignKey("owners.id", name="fk_owner")),
        sa.Column("double", sa.Integer, sa.Computed("id * 2", persisted=True)),
        sa.UniqueConstraint("name", "owner", name="uq_name"),
        sa.Index("ix_low", sa.text("lower(name)")),
    )
    sa.Table("there", metadata, sa.Column("id", sa.Integer, primary_key=True), schema="other")
"""
PG_LIVE = """
    CREATE TABLE owners (id serial PRIMARY KEY, number serial);
    COMMENT ON TABLE owners IS 'who owns'; COMMENT ON COLUMN owners.id IS 'the key';
    CREATE TABLE users (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
      name varchar(40) DEFAULT 'x' NOT NULL, owner int CONSTRAINT fk_owner REFERENCES owners,
      double int GENERATED ALWAYS AS (id * 2) STORED, CONSTRAINT uq_name UNIQUE (name, owner));
    CREATE INDEX ix_low ON users (lower(name));
    CREATE SCHEMA other; CREATE TABLE other.there (id serial PRIMARY KEY)"""
# (what changes, how it is taken back); '' is taken back with the next one
PG_CHANGES = [
    ("ALTER TABLE users ADD extra int", "ALTER TABLE users DROP extra"),
    ("ALTER TABLE users ALTER name DROP NOT NULL", "ALTER TABLE users ALTER name SET NOT NULL"),
    (
        "ALTER TABLE users ALTER name SET DEFAULT 'y'",
        "ALTER TABLE users ALTER name SET DEFAULT 'x'",
    ),
    (
        "ALTER TABLE users ALTER name TYPE varchar(50)",
        "ALTER TABLE users ALTER name TYPE varchar(40)",
    ),
    ("COMMENT ON TABLE owners IS 'else'", "COMMENT ON TABLE owners IS 'who owns'"),
    ("COMMENT ON COLUMN owners.id IS NULL", "COMMENT ON COLUMN owners.id IS 'the key'"),
    ("CREATE INDEX more ON users (owner)", "DROP INDEX more"),
    (
        "DROP INDEX ix_low; CREATE INDEX ix_low ON users (upper(name))",
        "DROP INDEX ix_low; CREATE INDEX ix_low ON users (lower(name))",
    ),
    (
        "DROP INDEX ix_low; CREATE UNIQUE INDEX ix_low ON users (lower(name))",
        "DROP INDEX ix_low; CREATE INDEX ix_low ON users (lower(name))",
    ),
    ("ALTER TABLE users DROP CONSTRAINT fk_owner, ADD CONSTRAINT fk_owner FOREIGN KEY (owner) "
     "REFERENCES owners ON DELETE CASCADE",
     "ALTER TABLE users DROP CONSTRAINT fk_owner, ADD CONSTRAINT fk_owner FOREIGN KEY (owner) "
     "REFERENCES owners"),
    (
        "ALTER TABLE users DROP CONSTRAINT uq_name, ADD CONSTRAINT uq_name UNIQUE (owner, id)",
        "ALTER TABLE users DROP CONSTRAINT uq_name, ADD CONSTRAINT uq_name UNIQUE (name, owner)",
    ),
    ("ALTER TABLE users ALTER id SET GENERATED ALWAYS",
     "ALTER TABLE users ALTER id SET GENERATED BY DEFAULT"),
    ("ALTER SEQUENCE owners_number_seq OWNED BY NONE",
     "ALTER SEQUENCE owners_number_seq OWNED BY owners.number"),
    ("CREATE TABLE other.more (id int)", "DROP TABLE other.more"),
    ("ALTER TABLE users RENAME owner TO holder", "ALTER TABLE users RENAME holder TO owner"),
    ("CREATE SCHEMA third; ALTER TABLE users SET SCHEMA third",
     "ALTER TABLE third.users SET SCHEMA public; DROP SCHEMA third"),
    ("ALTER DATABASE {name} SET search_path = other", "ALTER DATABASE {name} RESET search_path"),
]  # fmt: skip


def test_what_changes_in_postgresql_is_seen(tmp_path: Path, live: str) -> None:
    options = "include_schemas=True, compare_server_default=True"
    folder = project(tmp_path / "p", live.replace("%", "%%"), PG_MODELS, options)
    name = make_url(live).database

    def run(sql: str) -> None:
        with driver(live) as connection:
            for part in sql.split(";"):
                connection.execute(part.format(name=name))  # type: ignore[call-overload]  # no literal

    run(PG_LIVE)
    with opened(folder) as compare:
        assert [d.text for d in compare().drifts] == []
        for change, back in PG_CHANGES:
            before = files()
            assert compare().drifts == ()
            assert files() == before, "it was not kept, or not used"
            run(change)
            assert compare().drifts, change
            run(back)
            assert compare().drifts == (), back  # and is kept again


SQ_CHANGES = [
    "ALTER TABLE users ADD extra INTEGER",
    "CREATE INDEX more ON users (score)",
    "CREATE TABLE more (id INTEGER)",
    "ALTER TABLE users RENAME score TO points",
    "DROP TABLE users",
]


def test_what_changes_in_a_sqlite_file_is_seen(tmp_path: Path, sq: Path) -> None:
    folder = project(tmp_path / "p", f"sqlite:///{sq}", options=JUNK)
    with opened(folder) as compare:
        assert compare().drifts == ()
        for change in SQ_CHANGES:
            before, old = files(), sq.read_bytes()
            assert compare().drifts == ()
            assert files() == before, "it was not kept, or not used"
            sqlite_file(sq, change)
            assert compare().drifts, change
            sq.write_bytes(old)
            assert compare().drifts == ()


# --- the project ----------------------------------------------------------------------------------

JUNK = "include_object=lambda o, name, kind, *more: name != 'junk'"
OWN = """\
    import sqlalchemy as sa

    class Own(sa.types.TypeDecorator):
        impl = sa.String
        cache_ok = True

        def load_dialect_impl(self, dialect):
            return sa.String(40)
"""
# Each line and each table depends on something else.
MANY = """\
    import os
    import sys

    sys.path.append("site-packages")
    import sqlalchemy as sa
    import own
    import theirs

    with open("settings.txt") as file:
        width = int(file.read())
    metadata = sa.MetaData()
    sa.Table(
        "users", metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("own", own.Own()),
        sa.Column("theirs", theirs.Own()),
        sa.Column("read", sa.String(width)),
        sa.Column("variable", sa.String(int(os.environ.get("WIDTH", "40")))),
    )
    if os.path.exists("flag"):
        sa.Table("more", metadata, sa.Column("id", sa.Integer))
"""
LEFT_OUT = """\
    import os

    def left_out(_object, name, kind, *_more):
        with open("names.txt") as file:
            names = [file.read().strip(), os.environ["LEFT_OUT"]]
        names.append(context.config.file_config["app"]["left_out"])
        names.append(context.get_x_argument(as_dictionary=True).get("out", "by_x"))
        return name not in names
"""
MANY_LIVE = """
    CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, own VARCHAR(40), theirs VARCHAR(40),
      read VARCHAR(40), variable VARCHAR(40));
    CREATE TABLE by_file (id INTEGER);
    CREATE TABLE by_variable (id INTEGER);
    CREATE TABLE by_ini (id INTEGER);
    CREATE TABLE by_x (id INTEGER)"""
FILES = [  # name, what is in it, what takes its place
    ("models.py", "theirs.Own()", "theirs.Own(), nullable=False"),
    ("own.py", "40", "30"),
    ("settings.txt", "40", "41"),
    ("names.txt", "by_file", "none"),
    ("alembic.ini", "by_ini", "none"),
    ("env.py", "include_object", "compare_type=False, render_item"),
    ("site-packages/theirs.py", "40", "30"),
]
VARIABLES = [("WIDTH", "41"), ("LEFT_OUT", "none"), ("LEFT_OUT", "postgresql://host/name")]


def test_what_changes_in_the_project_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = sqlite_file(tmp_path / "live.db", MANY_LIVE)
    folder = project(tmp_path / "p", f"sqlite:///{live}", MANY, "include_object=left_out")
    for name, text in (
        ("env.py", textwrap.dedent(LEFT_OUT) + (folder / "env.py").read_text()),
        ("own.py", OWN),
        ("site-packages/theirs.py", OWN),
        ("settings.txt", "40"),
        ("names.txt", "by_file"),
    ):
        write(folder / name, text)
    monkeypatch.setenv("LEFT_OUT", "by_variable")
    assert look(folder) == []
    first = files()
    assert look(folder) == []
    assert files() == first != {}, "it was not used"
    for variable, value in VARIABLES:
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert look(folder), variable
    assert look(folder, "out=none")
    write(folder / "flag", "")
    assert look(folder) == ["the models have table more, the database does not"]
    (folder / "flag").unlink()
    for name, old, new in FILES:
        text = (folder / name).read_text()
        assert old in text
        write(folder / name, text.replace(old, new))
        assert look(folder), name
        write(folder / name, text)
        if name != "site-packages/theirs.py":
            assert files() == first  # what found something takes no place
    assert look(folder) == []


DOUBTS = {
    "a process": "__import__('subprocess').run(['true'])",
    "a shell": "__import__('os').system('true')",
    "a network": "__import__('socket').gethostbyname('localhost')",
    "a driver": "__import__('sqlite3').connect(':memory:')",
    "a file made by itself": "open('made', 'w').write('x'); open('made').read()",
    "another database": "connection.exec_driver_sql(\"ATTACH ':memory:' AS beside\")",
}


@pytest.mark.parametrize("name", DOUBTS)
def test_what_cannot_be_known_is_not_kept(name: str, tmp_path: Path, sq: Path) -> None:
    folder = project(tmp_path / "p", f"sqlite:///{sq}", options=JUNK, before=DOUBTS[name])
    assert look(folder) == []
    assert files() == {}


def test_what_the_project_asks_the_server(tmp_path: Path, live: str) -> None:
    """Rows that are data of the application, read before and while it is compared, or aside."""
    ask = 'connection.exec_driver_sql("SELECT name FROM left_out").scalars().all()'
    aside = f"__import__('psycopg').connect({live.replace('+psycopg', '')!r}).close()"
    other = "other = engine.connect()"
    with driver(live) as connection:
        connection.execute("CREATE TABLE left_out (name text)")
        connection.execute("CREATE TABLE junk (id int)")
        connection.execute("CREATE TABLE users (id serial PRIMARY KEY, score numeric(10, 2),"
                           "name varchar(40) NOT NULL DEFAULT 'x')")  # fmt: skip
    cases = [(f"out = {ask}", "out"), ("pass", ask), (aside, ask), (other, f"other{ask[10:]}")]
    for number, (before, out) in enumerate(cases):
        options = f"include_object=lambda o, name, *more: name not in ['left_out', *{out}]"
        url = live.replace("%", "%%")
        folder = project(tmp_path / str(number), url, options=options, before=before)
        with driver(live) as connection:
            connection.execute("INSERT INTO left_out VALUES ('junk')")
        was = files()
        assert look(folder) == []
        assert (files() == was) == (before in (aside, other))
        was = files()
        assert look(folder) == []
        assert files() == was, "it was not used"
        with driver(live) as connection:
            connection.execute("DELETE FROM left_out")
        assert look(folder)


# --- the file -------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_trusted_is_not_used(tmp_path: Path, sq: Path, cache: Path) -> None:
    """A lie is put into each: models that differ from a database that is said to be equal."""
    folder = project(tmp_path / "p", f"sqlite:///{sq}", options=JUNK)
    assert look(folder) == []
    (file,) = cache.iterdir()
    good = file.read_bytes()
    values = kept.load(file.name)
    assert values
    sqlite_file(sq, "ALTER TABLE users ADD extra INTEGER")
    truth = look(folder)
    assert truth
    assert file.read_bytes() == good  # what found something is not kept
    for bad in (b"", b"junk", good[:-9], b"\0" + good):
        file.write_bytes(bad)
        assert kept.load(file.name) is None
    assert look(folder) == truth
    for lie in ({"project": None}, {"files": {"/nowhere": "x"}}, {"answers": []}):
        kept.save(file.name, values | lie)
        assert look(folder) == truth
    # of all that would be believed, only the owner's may be
    with opened(folder) as compare:
        sqlite_file(sq, "ALTER TABLE users DROP extra")
        assert compare().drifts == ()
    right = file.read_bytes()
    file.chmod(0o622)
    assert kept.load(file.name) is None
    assert look(folder) == []
    assert file.stat().st_mode & 0o022 == 0
    assert file.read_bytes() == right


def test_a_question_that_fails_now_is_no_answer(tmp_path: Path, live: str, cache: Path) -> None:
    folder = project(tmp_path / "p", live.replace("%", "%%"))
    with driver(live) as connection:
        connection.execute("CREATE TABLE users (id serial PRIMARY KEY, score numeric(10, 2),"
                           "name varchar(40) NOT NULL DEFAULT 'x')")  # fmt: skip
    assert look(folder) == []
    (file,) = cache.iterdir()
    values = kept.load(file.name)
    assert values
    kept.save(file.name, values | {"answers": [["SELECT * FROM gone", {}, "x"]]})
    assert look(folder) == []
    assert kept.load(file.name) == values  # made anew, and kept again


def test_two_at_once_and_a_copy(tmp_path: Path, sq: Path, cache: Path) -> None:
    folder = project(tmp_path / "p", f"sqlite:///{sq}", options=JUNK)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(look, [folder] * 3)) == [[]] * 3
    assert len(files()) == 1
    was = files()
    with open_target(Request(cwd=folder), quick=False) as target:
        copy = tmp_path / "copy.db"
        copy.write_bytes(sq.read_bytes())
        address = address_of(f"sqlite:///{copy}")
        assert compared(target.on(address, {tmp_path: tmp_path})).drifts == ()
    assert files() == was
