"""What is not well on a real server, and what only looks so."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import Health, Sequence
from migdoctor.observe import activity, health, measures, schema
from tests.facts import healthy
from tests.observe.databases import driver, in_background, script, wait_for_lock

Run = Callable[[str], None]


def look(url: str) -> Health:
    """As the full diagnosis sees it."""
    with open_reading(address_of(url)) as session:
        locked = activity.read(session).exclusive
        return measures.counted(session, health.read(session), schema.read(session, locked))


def sequences(url: str) -> tuple[Sequence, ...]:
    with open_reading(address_of(url)) as session:
        return measures.sequences(session, schema.read(session, {}))


def failing(url: str, *statements: str) -> None:
    """Statements of which the last one must fail."""
    *first, last = statements
    with driver(url) as connection:
        for statement in first:
            connection.execute(statement)  # type: ignore[call-overload]  # a str
        with pytest.raises(psycopg.Error):
            connection.execute(last)  # type: ignore[call-overload]  # a str


def test_what_only_looks_ill(pg: str, pg_run: Run) -> None:
    pg_run(
        "CREATE TABLE t (id serial PRIMARY KEY, a int); CREATE INDEX t_a_ccnew ON t (a);"
        "CREATE TABLE p (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);"
        "CREATE INDEX p_id ON ONLY p (id);"
        "CREATE TYPE used AS ENUM ('x'); CREATE TABLE u (a used);"
        "CREATE TYPE in_array AS ENUM ('x'); CREATE TABLE v (a in_array[]);"
        "CREATE TYPE in_domain AS ENUM ('x'); CREATE DOMAIN d AS in_domain;"
        "CREATE TYPE in_function AS ENUM ('x');"
        "CREATE FUNCTION f(in_function) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "INSERT INTO t (a) VALUES (1), (2)"
    )
    assert look(pg) == Health()
    (one,) = sequences(pg)
    assert (one.upcoming, one.highest) == (3, 2)


def test_a_build_in_progress_is_left_alone(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    with driver(pg) as reader, driver(pg) as builder:
        reader.execute("BEGIN")
        reader.execute("INSERT INTO t VALUES (2)")
        build = lambda: builder.execute("CREATE INDEX CONCURRENTLY ix ON t (a)")  # noqa: E731  one line says it
        with in_background(build):
            wait_for_lock_of_anybody(pg)
            (index,) = look(pg).indexes
            with open_reading(address_of(pg)) as session:
                at_work = activity.read(session).sessions
            reader.execute("ROLLBACK")
    assert index.building
    (session_,) = [s for s in at_work if s.migrating]
    assert session_.migrating == "it builds an index"
    assert "CREATE INDEX CONCURRENTLY ix on t: waiting for writers" in session_.building
    assert session_.blocked_by
    assert session_.waits == "the end of another transaction"
    assert look(pg) == Health()


def wait_for_lock_of_anybody(url: str) -> None:
    """A build waits for a transaction, which is a lock of no database."""
    question = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"
    with driver(url) as connection:
        for _ in range(1000):
            if connection.execute(question).fetchall() != [(0,)]:
                return
    raise AssertionError("nobody builds")


def test_a_build_whose_client_is_gone_goes_on_and_is_shown(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    with driver(pg) as reader:
        reader.execute("BEGIN")
        reader.execute("INSERT INTO t VALUES (2)")
        builder = driver(pg)
        builder.pgconn.send_query(b"CREATE INDEX CONCURRENTLY ix ON t (a)")
        wait_for_lock_of_anybody(pg)
        builder.close()  # as when the process is killed: the server is not told
        with open_reading(address_of(pg)) as session:
            at_work = [s for s in activity.read(session).sessions if s.building]
        reader.execute("ROLLBACK")
    assert len(at_work) == 1
    assert at_work[0].state == "active"


def test_a_failed_unique_build_shows_the_duplicates(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE t (a int, b text);")
    pg_run("INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'y'), (NULL, 'z'), (NULL, 'z')")
    failing(pg, "CREATE UNIQUE INDEX CONCURRENTLY ux ON t (a, lower(b)) WHERE b <> 'q'")
    (index,) = look(pg).indexes
    assert (index.key.name, index.unique, index.building) == ("ux", True, False)
    assert index.duplicates == ("(a, lower(b)) = (1, x): 2 rows",)
    pg_run("DELETE FROM t WHERE a = 1")
    assert look(pg).indexes[0].duplicates == ()


def test_a_cancelled_reindex_leaves_a_twin(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE t (a int); CREATE INDEX ix ON t (a)")
    with driver(pg) as reader:
        reader.execute("BEGIN")
        reader.execute("INSERT INTO t VALUES (2)")
        failing(pg, "SET statement_timeout = '300ms'", "REINDEX INDEX CONCURRENTLY ix")
        reader.execute("ROLLBACK")
    (index,) = look(pg).indexes
    assert (index.key.name, index.sibling) == ("ix_ccnew", "ix")


def test_violations_are_counted(pg: str, pg_run: Run) -> None:
    pg_run(
        "CREATE TABLE p (a int, b int, UNIQUE (a, b)); CREATE TABLE c (a int, b int);"
        "INSERT INTO p VALUES (1, 1); INSERT INTO c VALUES (1, 1), (1, 2), (NULL, 3);"
        "ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (a, b) REFERENCES p (a, b) NOT VALID;"
        "ALTER TABLE c ADD CONSTRAINT ck CHECK (a + b > 2) NO INHERIT NOT VALID"
    )
    found = {one.key.name: one for one in look(pg).unvalidated}
    assert {n: one.violations for n, one in found.items()} == {"fk": 1, "ck": 1}
    assert found["fk"].shown == "(1,2)"
    assert found["ck"].shown == "(1,1)"


def test_more_than_can_be_counted_are_said_to_be_uncounted(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE t (a int)")
    for n in range(measures.LIMIT + 1):
        pg_run(f"ALTER TABLE t ADD CONSTRAINT ck{n:02} CHECK (a > {n}) NOT VALID")
    *counted, last = look(pg).unvalidated
    assert {(one.violations, one.why_not) for one in counted} == {(0, "")}
    assert (last.violations, last.why_not) == (None, measures.TOO_MANY)


def test_what_is_locked_is_not_counted(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE c (a int); ALTER TABLE c ADD CONSTRAINT ck CHECK (a > 2) NOT VALID")
    with driver(pg) as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE c IN ACCESS EXCLUSIVE MODE")
        (one,) = look(pg).unvalidated
        holder.execute("ROLLBACK")
    assert one.violations is None
    assert one.busy
    assert "ACCESS EXCLUSIVE" in one.why_not


def test_switched_off_foreign_keys(pg: str, pg_run: Run) -> None:
    pg_run(
        "CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE c (a int REFERENCES p);"
        "ALTER TABLE c DISABLE TRIGGER ALL; INSERT INTO c VALUES (7)"
    )
    (table,) = look(pg).triggers
    assert (table.table, table.names, len(table.internal)) == ("c", (), 2)
    assert table.foreign_keys == (("public.c", "c_a_fkey", 1),)


def test_sequences_of_unique_columns_only(pg: str, pg_run: Run) -> None:
    pg_run(
        "CREATE TABLE a (id serial PRIMARY KEY); INSERT INTO a VALUES (5);"
        "CREATE TABLE b (id int GENERATED BY DEFAULT AS IDENTITY UNIQUE); INSERT INTO b VALUES (1);"
        "CREATE TABLE c (id serial); INSERT INTO c VALUES (9);"
        "CREATE SEQUENCE down INCREMENT -1;"
        "CREATE TABLE d (id int PRIMARY KEY DEFAULT nextval('down'));"
        "ALTER SEQUENCE down OWNED BY d.id"
    )
    assert [(s.table, s.upcoming, s.highest) for s in sequences(pg)] == [
        ("public.a", 1, 5),
        ("public.b", 1, 1),
    ]


def test_owners(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE c (i int)")
    assert look(pg).owners == ()
    pg_run("ALTER TABLE b OWNER TO pg_monitor")
    assert look(pg).owners == (
        ("public", "pg_monitor", 1, ("b",)),
        ("public", "postgres", 2, ("a", "c")),
    )


def test_counting_takes_no_lock_that_anybody_waits_for(pg: str, pg_run: Run) -> None:
    """While a DDL waits for a table, nothing here queues up behind it."""
    pg_run("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t VALUES (9)")
    with driver(pg) as root, driver(pg) as ddl:
        root.execute("BEGIN")
        root.execute("SELECT * FROM t")
        with in_background(lambda: ddl.execute("ALTER TABLE t ADD b int")):
            wait_for_lock(pg)
            with open_reading(address_of(pg)) as session:
                locked = activity.read(session).exclusive
                (one,) = measures.sequences(session, schema.read(session, locked))
                assert (one.highest, "holds public.t" in one.why_not) == (None, True)
            root.execute("ROLLBACK")
    assert len(sequences(pg)) == 1


# --- SQLite -------------------------------------------------------------------------------------


def orphans(path: Path) -> list[tuple[str, int | None, str]]:
    with open_reading(address_of(f"sqlite:///{path}")) as session:
        found = measures.orphans(session, healthy())
    return [(o.constraint, o.count, o.shown) for o in found]


def test_rows_without_parent_in_sqlite(sq: Path) -> None:
    script(
        sq,
        "CREATE TABLE p (id integer PRIMARY KEY); INSERT INTO p VALUES (1);"
        "CREATE TABLE c (id integer PRIMARY KEY, p int REFERENCES p (id));"
        "INSERT INTO c (p) VALUES (1), (NULL)",
    )
    assert orphans(sq) == []
    script(sq, "INSERT INTO c (p) VALUES (7), (8)")
    assert orphans(sq) == [("c to p", 2, "rowid 3, 4")]


def test_a_key_that_sqlite_cannot_check_hides_no_other(sq: Path) -> None:
    script(
        sq,
        "CREATE TABLE p (id int, other int); CREATE TABLE c (p int REFERENCES p (other));"
        "INSERT INTO c VALUES (7)",
    )
    assert orphans(sq) == [("", None, "")]
    script(
        sq,
        "CREATE TABLE q (id integer PRIMARY KEY);"
        "CREATE TABLE d (id integer PRIMARY KEY, q int REFERENCES q (id));"
        "INSERT INTO d (q) VALUES (9)",
    )
    assert sorted(orphans(sq), key=str) == [("", None, ""), ("d to q", 1, "rowid 1")]
