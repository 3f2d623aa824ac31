"""What only looks like a leftover, on a real server and through every check: nobody speaks."""

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor.samples import Box, run_sql
from tests.observe.databases import in_background
from tests.observe.test_health import wait_for_lock_of_anybody
from tests.running import migdoctor

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
REVISION = '''\
"""{id}"""

from alembic import op

revision = "{id}"
down_revision = "{down}"


def upgrade():
    for statement in {statements}:
        op.execute(statement)


def downgrade():
    pass
'''
# The first half of changes that are released in two steps, as for a table that is in use.
BEGUN = [
    "CREATE TYPE mood AS ENUM ('happy', 'sad')",
    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0) NOT VALID",
    "CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day)",
    "CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    "CREATE INDEX ix_parts ON ONLY parts (id)",  # INVALID until each partition has its own
    "CREATE INDEX ix_parts_old ON parts_old (id)",
    "CREATE INDEX ix_orders_user_ccnew ON orders (user_id)",  # named so by a person, and valid
]
FINISHED = [
    "CREATE TABLE feelings (id int PRIMARY KEY, m mood NOT NULL)",
    "ALTER TABLE orders VALIDATE CONSTRAINT positive",
    "ALTER INDEX ix_parts ATTACH PARTITION ix_parts_old",
]


def write(box: Box, id: str, down: str, statements: list[str]) -> None:
    text = REVISION.format(id=id, down=down, statements=statements)
    (box.folder / "versions" / f"{id}.py").write_text(text)


@pytest.fixture
def box(sample: Sample) -> Box:
    """A healthy database between the two halves; the models know of neither."""
    box = sample("healthy", "postgresql")
    write(box, "ddd4", "ccc3", BEGUN)
    write(box, "eee5", "ddd4", FINISHED)
    status, output = box.alembic("upgrade ddd4")
    assert status == 0, output
    return box


def test_changes_of_two_steps_are_no_leftovers(box: Box, capfd: Capture) -> None:
    ran = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    assert (ran.codes, ran.document["not_looked"]) == (["MD506"], [])
    assert ran.document["position"]["verdict"] == "behind"
    assert box.alembic("upgrade head")[0] == 0
    ran = migdoctor(capfd, "diagnose", "--format", "json", "--ignore", "MD602", *box.args)
    assert (ran.codes, ran.document["not_looked"]) == ([], [])


def test_an_index_that_is_being_built_is_no_invalid_one(box: Box, capfd: Capture) -> None:
    plain = make_url(box.owner_url).set(drivername="postgresql").render_as_string(False)
    with (
        closing(psycopg.connect(plain)) as writer,
        closing(psycopg.connect(plain, autocommit=True)) as builder,
    ):
        writer.execute("UPDATE orders SET total = total")
        build = lambda: builder.execute("CREATE UNIQUE INDEX CONCURRENTLY ux ON orders (id)")  # noqa: E731  one line says it
        with in_background(build):
            wait_for_lock_of_anybody(plain)
            busy = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
            refused = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
            writer.rollback()
    assert "MD303" not in busy.codes
    assert {"MD101", "MD102"} & set(busy.codes)
    assert refused.code == 4
    assert run_sql(plain, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ux'::regclass") == [
        (True,)
    ]


def test_of_two_copies_the_real_one_is_named_and_none_is_dropped(
    sample: Sample, capfd: Capture
) -> None:
    box = sample("md007_version_table_in_several_schemas", "postgresql")
    ran = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    (finding,) = ran.document["findings"]
    assert finding["message"].startswith(
        "schema public is the real one, it has the rows; app holds"
    )
    assert "env.py works on app, the empty one" in finding["message"]
    assert "public: orders: 2 rows, users: 3 rows" in finding["evidence"][0]["text"]
    assert "app: orders: empty, users: empty" in finding["evidence"][0]["text"]
    done = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert (done.document["plan"]["steps"], done.document["outcome"]) == ([], None)
    assert (box.count("public.users"), box.count("app.users")) == (3, 0)
