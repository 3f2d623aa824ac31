"""What the doctor locks while others change the schema: proven by locks that conflict with its own.

One session holds a real, uncommitted change, and in the same transaction every other table in
EXCLUSIVE mode, those of the catalog included. That mode lets ACCESS SHARE pass and nothing else
(manual, table 13.2), and the change's own ACCESS EXCLUSIVE lets nothing pass. So a stronger lock
than ACCESS SHARE anywhere, or any lock at all on what the change has, cannot be had, however short:
it has to wait, and the server logs every wait that lasts a millisecond. No line, no such lock.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor.connect import address_of, open_reading
from migdoctor.observe import activity, schema
from migdoctor.samples import Box, run_sql
from tests.running import LIVE, migdoctor, other_server

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
ENGINE = (
    "postgresql" if LIVE else "older"
)  # not the shadow's server, on which a replay makes things

# Something for every question that the doctor asks about rows, expressions and dependencies.
ZOO = """
CREATE TYPE unused AS ENUM ('a');
CREATE TABLE items (id serial PRIMARY KEY, order_id int, code text DEFAULT 'x' || 'y',
  CONSTRAINT positive CHECK (order_id > 0));
INSERT INTO items (order_id, code) VALUES (1, 'a'), (7, 'b');
SELECT setval('items_id_seq', 1);
ALTER TABLE items ADD CONSTRAINT fk FOREIGN KEY (order_id) REFERENCES orders (id) NOT VALID;
CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders (id));
ALTER TABLE lines DISABLE TRIGGER ALL;
CREATE INDEX ix ON items (lower(code)) WHERE order_id > 3;
CREATE VIEW seen AS SELECT u.email, i.code FROM users u JOIN items i ON i.order_id = u.id;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM items;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER tr BEFORE UPDATE ON items FOR EACH ROW WHEN (old.id > 1) EXECUTE FUNCTION f();
CREATE TABLE shown (order_id int);
ALTER TABLE shown ENABLE ROW LEVEL SECURITY;
CREATE POLICY po ON shown USING (order_id IN (SELECT id FROM orders));
CREATE TABLE parts (id serial PRIMARY KEY, b int) PARTITION BY RANGE (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE more (id serial PRIMARY KEY);
CREATE TABLE base (id serial PRIMARY KEY); CREATE TABLE child () INHERITS (base);
CREATE TABLE _migdoctor_q_1_x (a int PRIMARY KEY);
CREATE SCHEMA twin;
CREATE TABLE twin.alembic_version (version_num varchar(32));
INSERT INTO twin.alembic_version VALUES ('aaa1');
CREATE TABLE twin.users (id int); CREATE TABLE twin.items (id int);
"""
# A change, and what cannot be read while it is open. The indexes of a table, its partitions and its
# children are opened with it.
CHANGES = {
    "several at once": (
        "ALTER TABLE orders ALTER COLUMN total TYPE bigint; REINDEX INDEX ix;"
        "ALTER TABLE parts1 ALTER COLUMN b SET DEFAULT 3; ALTER TABLE child ADD COLUMN more int;"
        "ALTER SEQUENCE more_id_seq RENAME TO s; REINDEX TABLE _migdoctor_q_1_x;"
        "REFRESH MATERIALIZED VIEW kept; ALTER TABLE twin.users ADD COLUMN more int",
        "orders items parts base more_id_seq kept",
    ),
    "indexes of the version table": ("REINDEX TABLE alembic_version", "alembic_version"),
    "every table of users": (
        "ALTER TABLE users ADD n int; ALTER TABLE orders ADD n int; ALTER TABLE items ADD n int;"
        "ALTER TABLE lines ADD n int; ALTER TABLE shown ADD n int; ALTER TABLE parts ADD n int;"
        "ALTER TABLE base ADD n int; ALTER TABLE more ADD n int; ALTER TABLE twin.users ADD n int;"
        "ALTER TABLE twin.items ADD n int; REFRESH MATERIALIZED VIEW kept",
        "users orders items lines shown parts base more kept",
    ),
}
MORE = {
    "a column of a table": ("ALTER TABLE items ADD COLUMN more int", "items"),
    "a dropped table": ("DROP TABLE items CASCADE", "items orders"),
    "indexes built anew": ("REINDEX TABLE items", "items"),
    "a dropped sequence": ("DROP SEQUENCE items_id_seq CASCADE", "items items_id_seq"),
    "a table put aside": ("DROP TABLE _migdoctor_q_1_x", ""),
    "a truncated partition": ("TRUNCATE parts1", "parts parts1"),
    "a table of the twin": ("ALTER TABLE twin.users ADD COLUMN more int", ""),
}
WHOLE = "MIGDOCTOR_TEST_ALL" in os.environ  # make test-real, make test-servers
CASES = [
    (case, words)
    for case in (CHANGES | MORE if WHOLE else CHANGES)
    for words in ((), ("--quick",))
    if WHOLE or words or case == "several at once"
]
EVERY_TABLE = """
SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT EXISTS (
  SELECT FROM pg_locks l WHERE l.relation = pg_class.oid AND l.pid = pg_backend_pid()
    AND l.mode = 'AccessExclusiveLock')"""


@pytest.fixture
def box(sample: Sample) -> Box:
    box = sample("healthy", ENGINE)
    run_sql(box.owner_url, ZOO)
    name = make_url(box.url).database
    for setting in ("log_lock_waits = on", "deadlock_timeout = '1ms'"):
        run_sql(box.owner_url, f'ALTER DATABASE "{name}" SET {setting}')
    return box


def waits(box: Box) -> list[str]:
    """Every wait for a lock of this database so far, as the server tells it."""
    live = other_server(ENGINE)
    assert live is not None
    ((oid,),) = run_sql(
        box.owner_url, "SELECT oid FROM pg_database WHERE datname = current_database()"
    )
    log = Path(live.folder / "log").read_text(errors="replace")
    return [
        line for line in log.splitlines()
        if "still waiting for" in line and f"of database {oid}" in line
    ]  # fmt: skip


@contextmanager
def changing(box: Box, change: str) -> Iterator[int]:
    """Another session that has run a change and holds all other tables in EXCLUSIVE mode."""
    plain = make_url(box.owner_url).set(drivername="postgresql").render_as_string(False)
    with closing(psycopg.connect(plain)) as holder:
        holder.execute(change.encode())
        ((others,),) = holder.execute(EVERY_TABLE).fetchall()
        holder.execute(f"LOCK TABLE {others} IN EXCLUSIVE MODE".encode())
        yield holder.info.backend_pid


@pytest.mark.parametrize(("case", "words"), CASES, ids=[" ".join((c, *w)) for c, w in CASES])
def test_nothing_is_waited_for_while_a_change_is_open(
    case: str, words: tuple[str, ...], box: Box, capfd: Capture
) -> None:
    change, shut = (CHANGES | MORE)[case]
    with changing(box, change) as pid:
        ran = migdoctor(capfd, "diagnose", *words, "--format", "json", *box.args)
        assert waits(box) == []
        # The instrument sees what it is meant to see, even on a catalog.
        stronger = "SET lock_timeout = 50;\nBEGIN;\nLOCK TABLE pg_class IN ROW SHARE MODE"
        with pytest.raises(psycopg.errors.LockNotAvailable):
            run_sql(box.owner_url, stronger)
        assert len(waits(box)) == 1
        with open_reading(address_of(box.url)) as session:
            seen = schema.read(session, activity.read(session).exclusive)
    whys = " ".join(n["why"] for n in ran.document["not_looked"])
    assert "55P03" not in whys
    if case == "indexes of the version table":
        assert f"public.alembic_version: session {pid} holds it" in whys
        return
    assert "MD101" in ran.codes
    for name in shut.split():
        assert f"session {pid} holds" in seen.unreadable[f"public.{name}"]
