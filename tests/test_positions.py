"""Record and schema that disagree, cured as a user would: what is named, what is run, what is not.

The samples prove each cure; here is what they leave open: that the cure goes no further than the
schema proves, and that nothing is recorded on faith.
"""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from migdoctor.samples import Box, run_sql
from tests.running import Ran, dump, migdoctor

Build = Callable[[str, str], Box]
REVISION = '''\
"""{id}"""

import sqlalchemy as sa
from alembic import op

revision = "{id}"
down_revision = "{down}"


def upgrade():
    {body}
'''
GIFTS = """op.create_table("gifts", sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("price", sa.Integer(), server_default="0", nullable=False))"""
CARDS = 'op.create_table("cards", sa.Column("id", sa.Integer(), primary_key=True))'
INDEX = 'op.create_index("ix_users_nickname", "users", ["nickname"])'
FILLED = GIFTS + '\n    op.execute("INSERT INTO gifts (price) VALUES (7)")'
ENGINES = ["sqlite", "postgresql"]


def ask(capfd: pytest.CaptureFixture[str], box: Box, *words: str) -> Ran:
    return migdoctor(capfd, *words, "--format", "json", *box.args)


def write(box: Box, id: str, down: str, body: str) -> None:
    path = box.folder / "versions" / f"{id}.py"
    path.write_text(REVISION.format(id=id, down=down, body=body))


def done(ran: Ran) -> list[str]:
    """The statements that were run on the database, in one line each."""
    assert ran.document["outcome"], ran.document.get("error")
    return [" ".join(sql.split()) for sql in ran.document["outcome"]["done"]]


def found(ran: Ran, code: str) -> dict[str, Any]:
    (finding,) = [f for f in ran.document["findings"] if f["code"] == code]
    return dict(finding)


def rows(box: Box) -> list[str]:
    return [row for (row,) in run_sql(box.owner_url, "SELECT version_num FROM alembic_version")]


# --- stamped past -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_stamped_past_and_upgraded_since(
    engine: str, sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md506_pending__fresh_database", engine)
    for command in ("upgrade aaa1", "stamp ccc3"):
        assert box.alembic(command)[0] == 0
    write(box, "ddd4", "ccc3", FILLED)
    assert box.alembic("upgrade head")[0] == 0
    shown = migdoctor(capfd, "fix", *box.args).out
    assert "2 revisions in the middle never ran, later ones did: bbb2 and ccc3" in " ".join(
        shown.split()
    )
    for text in ("CREATE TABLE orders", "ADD COLUMN nickname", "Rehearsed on a", "passed"):
        assert text in shown
    fixed = ask(capfd, box, "fix", "--apply")
    assert [sql.partition(" (")[0] for sql in done(fixed)] == [
        "CREATE TABLE orders",
        "CREATE INDEX ix_orders_user_id ON orders",
        "ALTER TABLE users ADD COLUMN nickname VARCHAR(40)",
    ]
    assert fixed.document["position"]["located"] == ["ddd4"]
    assert (rows(box), box.count("gifts")) == (["ddd4"], 1)
    before = dump(box)
    assert box.alembic("upgrade head")[0] == 0
    assert dump(box) == before


# --- stamped behind -----------------------------------------------------------------------------


def test_stamped_behind_is_advanced_no_further_than_the_schema_proves(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("healthy", "sqlite")
    write(box, "ddd4", "ccc3", "\n    ".join((GIFTS, INDEX, CARDS)))
    assert box.alembic("upgrade head")[0] == 0
    run_sql(
        box.owner_url,
        "UPDATE alembic_version SET version_num = 'aaa1';\nDROP INDEX ix_users_nickname",
    )
    seen = ask(capfd, box, "fix")
    assert "bbb2, ccc3 and ddd4" in found(seen, "MD502")["message"]
    assert seen.document["plan"]["steps"] == []  # the schema is not as after any revision
    fixed = ask(capfd, box, "fix", "--apply", "--only", "MD502:advance")
    assert done(fixed) == [
        "UPDATE \"alembic_version\" SET version_num = 'bbb2' WHERE version_num = 'aaa1'",
        "UPDATE \"alembic_version\" SET version_num = 'ccc3' WHERE version_num = 'bbb2'",
    ]
    assert rows(box) == ["ccc3"]
    assert found(fixed, "MD502")["needs_human"].startswith("ddd4: a part of what it makes")


# --- a row that no file has ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "candidates"),
    [("healthy", ["ccc3", "ddd4"]), ("md507_not_locatable", ["aaa1", "ccc3"])],
)
def test_an_unknown_row_on_an_ambiguous_schema_is_refused_with_the_candidates(
    name: str, candidates: list[str], sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample(name, "sqlite")
    if name == "healthy":
        write(box, "ddd4", "ccc3", 'op.execute("UPDATE users SET nickname = email")')
    run_sql(box.owner_url, "UPDATE alembic_version SET version_num = 'zzz9'")
    before = dump(box)
    refused = ask(capfd, box, "fix", "--apply")
    assert (refused.code, refused.document["outcome"], dump(box)) == (1, None, before)
    assert refused.document["position"]["candidates"] == candidates
    why = found(refused, "MD404")["needs_human"]
    assert "never stamp head on faith" in why
    for id in candidates:
        assert id in why


# --- two files with one id ----------------------------------------------------------------------


def renumbered(box: Box, name: str) -> None:
    """What a person does about MD202: a new id, on top of the head."""
    path = box.folder / "versions" / name
    text = path.read_text().replace('"ccc3"', '"ddd4"').replace('"bbb2"', '"ccc3"')
    path.write_text(text)


def test_the_twin_that_alembic_does_not_load_runs_once_it_has_an_id(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md505_shadowed_twin_never_ran__upgrade_heads", "sqlite")
    told = found(ask(capfd, box, "diagnose"), "MD505")
    name = told["location"]["path"].rpartition("/")[2]
    assert told["needs_human"].startswith("cured by MD202: ccc3_add_phone.py keeps ccc3")
    assert f"{name} becomes" in told["needs_human"]
    renumbered(box, name)
    assert ask(capfd, box, "diagnose").codes == ["MD506"]
    assert box.alembic("upgrade head")[0] == 0
    run_sql(box.owner_url, "SELECT nickname, phone FROM users")
    assert ask(capfd, box, "diagnose", "--ignore", "MD602").codes == []


def test_the_twin_that_alembic_loads_is_run_and_then_recorded_under_its_own_id(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md505_shadowed_twin_never_ran", "sqlite")
    assert done(ask(capfd, box, "fix", "--apply", "--only", "MD505:run")) == [
        "ALTER TABLE users ADD COLUMN phone VARCHAR(40)"
    ]
    renumbered(box, "ccc3_add_phone.py")
    fixed = ask(capfd, box, "fix", "--apply")
    assert fixed.document["verdict"]["cured"] == ["MD502", "MD506"]
    assert rows(box) == ["ddd4"]
    assert box.alembic("upgrade head")[0] == 0


# --- made by create_all() -----------------------------------------------------------------------


def create_all(box: Box, *changes: tuple[str, str]) -> str:
    """What the project's own models make, changed, without alembic; returns the models' text."""
    text = (box.folder / "models.py").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    names: dict[str, Any] = {}
    exec(text, names)
    engine = sa.create_engine(box.owner_url)
    names["metadata"].create_all(engine)
    engine.dispose()
    return text


OLD = ('    Column("nickname", String(40)),\n', "")  # as they were at bbb2
NAMED = (
    "MetaData()",
    'MetaData(naming_convention={"uq": "%(table_name)s_%(column_0_name)s_key", '
    '"ix": "ix_%(column_0_label)s"})',
)
UNNAMED = (', name="uq_users_email"', "")
NO_DEFAULT = (
    "users = Table(",
    'Table("gifts", metadata, Column("id", Integer, primary_key=True), '
    'Column("price", Integer, nullable=False))\nusers = Table(',
)


@pytest.mark.parametrize("engine", ENGINES)
def test_made_by_create_all_from_old_models(
    engine: str, sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md506_pending__fresh_database", engine)
    create_all(box, OLD)
    run_sql(box.owner_url, "INSERT INTO users (email) VALUES ('ada@example.org')")
    seen = ask(capfd, box, "locate")
    assert seen.codes == ["MD401"]
    position = seen.document["position"]
    assert (position["verdict"], position["located"]) == ("unstamped", ["bbb2"])
    assert position["certainty"] == "likely"  # one witness: no row says so
    fixed = ask(capfd, box, "fix", "--apply")
    assert (fixed.codes, rows(box)) == (["MD506"], ["bbb2"])
    assert box.alembic("upgrade head")[0] == 0
    status, output = box.alembic("check")
    assert (status, box.count("users")) == (0, 1), output


@pytest.mark.parametrize(
    ("engine", "whose"), [("sqlite", "own"), ("postgresql", "own"), ("sqlite", "lost")]
)
@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ((NAMED, UNNAMED), "unique users.uq_users_email is missing"),
        ((NO_DEFAULT,), "column gifts.price is INTEGER NOT NULL, the history makes it"),
    ],
    ids=["constraint-names", "server-default"],
)
def test_made_by_create_all_and_not_as_the_history_makes_it(
    changes: tuple[tuple[str, str], ...],
    differs: str,
    engine: str,
    whose: str,
    sample: Build,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whether the models are the project's own of today, or ones that nobody has any more."""
    box = sample("md506_pending__fresh_database", engine)
    write(box, "ddd4", "ccc3", GIFTS)
    write(box, "eee5", "ddd4", CARDS)
    models = create_all(box, *changes)
    if whose == "own":
        (box.folder / "models.py").write_text(models)
    before = dump(box)
    refused = ask(capfd, box, "fix", "--apply")
    assert (refused.code, refused.document["outcome"], dump(box)) == (1, None, before)
    assert refused.document["position"]["certainty"] != "certain"
    told = found(refused, "MD401")
    assert told["remedy"] is None
    assert differs.lower() in told["needs_human"].lower()
    assert "never stamp head on faith" in told["needs_human"]
