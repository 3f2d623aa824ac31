"""An upgrade that really fails at operation 3 of 5, with changes made by hand beside it.

Forward: what is missing is run, and alembic has nothing left to do or to say. Back: the database
is what it was before the upgrade, to the last row.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.samples import Box, run_sql
from tests.running import Ran, dump, migdoctor

Build = Callable[[str, str], Box]
ENGINES = ["sqlite", "postgresql", "older"]
REVISION = '''\
"""gifts"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = "ccc3"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_table(
            "gifts",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("price", sa.Numeric(10, 2), server_default="0", nullable=False),
        )
        op.add_column("users", sa.Column("phone", sa.String(40)))
        op.create_index("uq_orders_total", "orders", ["total"], unique=True)
        op.create_index("ix_users_phone", "users", ["phone"])
        op.create_table("cards", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    raise NotImplementedError
'''
MODELS = """
users.append_column(Column("phone", String(40), index=True))
Index("uq_orders_total", orders.c.total, unique=True)
Table(
    "gifts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("price", Numeric(10, 2), server_default="0", nullable=False),
)
Table("cards", metadata, Column("id", Integer, primary_key=True))
"""
BY_HAND = """
ALTER TABLE orders ADD COLUMN note VARCHAR(20);
CREATE INDEX ix_users_nickname ON users (nickname);
CREATE TABLE audit (id INTEGER NOT NULL PRIMARY KEY, what VARCHAR(20))
"""
STATEMENTS = ["CREATE TABLE gifts", "ALTER TABLE users ADD", "CREATE UNIQUE INDEX uq_orders_total",
              "CREATE INDEX ix_users_phone", "CREATE TABLE cards"]  # fmt: skip
RESTORE = ("--only", "MD601:restore", "--allow", "DELETES_DATA,DROPS_OBJECT,IRREVERSIBLE,"
           "LOCKS_TABLE,REWRITES_TABLE")  # fmt: skip


def failed(sample: Build, engine: str, by_hand: str = BY_HAND) -> tuple[Box, str]:
    """A database at ccc3 that the upgrade to ddd4 left half-way, and its dump from before that."""
    box = sample("healthy", engine)
    revision = box.folder / "versions" / "ddd4_gifts.py"
    revision.write_text(REVISION)
    if engine == "older":  # the same by other means: an engine that commits each statement
        edit(revision, "with op.get_context().autocommit_block():", "if True:")
        edit(box.folder / "env.py", 'os.environ.get("MIGDOCTOR_SAMPLE_ISOLATION")', "'AUTOCOMMIT'")
    models = box.folder / "models.py"
    edit(models, "import Column,", "import Column, Index, Numeric,")
    models.write_text(models.read_text() + MODELS)
    if by_hand:
        run_sql(box.owner_url, by_hand)
    run_sql(box.owner_url, "INSERT INTO orders (user_id, total) SELECT user_id, total FROM orders")
    before = dump(box)
    status, output = box.alembic("upgrade head")
    assert status != 0
    assert "uq_orders_total" in output or "UNIQUE constraint failed" in output
    assert dump(box) != before  # it stays half-way
    return box, before


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def ask(capfd: pytest.CaptureFixture[str], box: Box, *words: str) -> Ran:
    return migdoctor(capfd, *words, "--format", "json", *box.args)


def finish(capfd: pytest.CaptureFixture[str], box: Box, *words: str) -> Ran:
    """The cause goes away, the rest of the revision is run, and nothing but that."""
    run_sql(box.owner_url, "UPDATE orders SET total = id")
    fixed = ask(capfd, box, "fix", "--apply", "--allow", "LOCKS_TABLE", *words)
    assert fixed.document["outcome"], fixed.document.get("error")
    *sql, stamp = fixed.document["outcome"]["done"]
    assert [s.partition(" ON ")[0].partition(" (")[0] for s in sql] == STATEMENTS[2:]
    assert stamp.endswith("SET version_num = 'ddd4' WHERE version_num = 'ccc3'")
    assert not {"MD503", "MD506"} & {*fixed.codes}
    return fixed


def assert_clean(box: Box) -> None:
    """alembic has nothing left to do, and nothing to say."""
    before = dump(box)
    assert box.alembic("upgrade head")[0] == 0
    assert dump(box) == before
    status, output = box.alembic("check")
    assert status == 0, output


@pytest.mark.parametrize("engine", ENGINES)
def test_forward(engine: str, sample: Build, capfd: pytest.CaptureFixture[str]) -> None:
    box, _before = failed(sample, engine)
    position = ask(capfd, box, "locate").document["position"]
    part = position["partial"]
    assert (position["verdict"], position["located"]) == ("partial", ["ccc3"])
    assert position["certainty"] != "unknown"
    assert (part["revision"], part["applied"], part["total"]) == ("ddd4", 2, 5)
    for told, begins in zip(part["statements"], STATEMENTS, strict=True):
        assert told["sql"].startswith(begins)
    states = [told["state"] for told in part["statements"]]
    assert states == ["applied"] * 2 + ["missing"] * 3

    fixed = finish(capfd, box)
    assert fixed.codes == ["MD601"]  # what was made by hand is told of, and left alone
    assert run_sql(box.owner_url, "SELECT note FROM orders") == [(None,)] * 4
    assert box.alembic("check")[0] != 0
    assert ask(capfd, box, "fix", "--apply", *RESTORE).codes == []
    assert_clean(box)
    assert (box.count("users"), box.count("orders")) == (3, 4)


def test_without_changes_by_hand_alembic_is_content_at_once(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box, _before = failed(sample, "postgresql", by_hand="")
    assert finish(capfd, box).codes == []
    assert_clean(box)


def test_what_the_history_made_was_changed_by_hand_too(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    """The statement is found all the same; the cure is then chosen, not taken by default."""
    box, _before = failed(sample, "sqlite", by_hand=BY_HAND + ";\nDROP INDEX ix_orders_user_id")
    seen = ask(capfd, box, "fix")
    part = seen.document["position"]["partial"]
    assert (part["revision"], part["applied"], part["total"]) == ("ddd4", 2, 5)
    assert seen.document["position"]["certainty"] == "likely"
    assert seen.document["plan"]["steps"] == []
    assert finish(capfd, box, "--only", "MD503:finish").codes == ["MD601"]
    assert ask(capfd, box, "fix", "--apply", *RESTORE).codes == []
    assert_clean(box)


@pytest.mark.parametrize("engine", ENGINES)
def test_back(engine: str, sample: Build, capfd: pytest.CaptureFixture[str]) -> None:
    box, before = failed(sample, engine)
    taken_back = ask(capfd, box, "fix", "--apply", "--only", "MD503:rollback")
    assert len(taken_back.document["outcome"]["done"]) == 2, taken_back.document.get("error")
    assert taken_back.codes == ["MD506", "MD601"]
    assert dump(box) == before  # schema, rows, what was made by hand, the version row
    run_sql(box.owner_url, "UPDATE orders SET total = id")
    assert box.alembic("upgrade head")[0] == 0


def test_nothing_is_taken_back_that_somebody_has_filled(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box, _before = failed(sample, "sqlite")
    run_sql(box.owner_url, "UPDATE users SET phone = '1' WHERE id = 1")
    half_way = dump(box)
    refused = ask(capfd, box, "fix", "--apply", "--only", "MD503:rollback")
    assert (refused.code, refused.document["outcome"]) == (4, None)
    assert "users.phone holds values" in refused.document["error"]["message"]
    assert dump(box) == half_way
