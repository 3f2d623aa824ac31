"""Recorded statements as steps: what they cost, what takes them back, what is asked about."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor.cures import statements
from migdoctor.cures.statements import Made, hazards_of_unit, split, undo_of_unit
from migdoctor.facts import FactKey
from migdoctor.model import Hazard
from migdoctor.shadow import server
from migdoctor.timeline import Recorded, Timeline, Unit
from tests.checks.placed import add_column, create, data, fact, index, table, timeline


def unit(recorded: Recorded, *more: Recorded) -> Unit:
    return Unit(statements=(recorded, *more), added=recorded.added, removed=recorded.removed)


def drop(*keys: FactKey) -> Recorded:
    return Recorded(sql="DROP ...", removed=dict.fromkeys(keys, "INTEGER"))


def change(old: str, new: str, kind: str = "column") -> Recorded:
    key = fact("users", kind, "c", "public")
    return Recorded(sql="ALTER ...", removed={key: old}, added={key: new})


def extra(kind: str, name: str, detail: str = "", owner: str = "users") -> Recorded:
    return Recorded(sql="...", added={fact(owner, kind, name, "public"): detail})


ALONE = Recorded(
    sql="CREATE INDEX CONCURRENTLY ix ON users (id)",
    added=index("users", "ix").added,
    autocommit=True,
)


@pytest.mark.parametrize(
    ("recorded", "hazards"),
    [
        (create("t", "id"), []),
        (add_column("users", "c"), []),
        (extra("view", "", owner="v"), []),
        (extra("enum", "mood", owner=""), []),
        (index("users", "ix"), ["LOCKS_TABLE"]),
        (ALONE, []),
        (extra("unique", "uq"), ["LOCKS_TABLE"]),
        (extra("check", "ck", "CHECK (c > 0) NOT VALID"), []),
        (extra("column", "n", "integer NOT NULL DEFAULT nextval('s')"), ["REWRITES_TABLE"]),
        (drop(*table("t", "id", schema="public")), ["DELETES_DATA"]),
        (drop(fact("users", "column", "c", "public")), ["DELETES_DATA"]),
        (drop(fact("users", "index", "ix", "public")), ["DROPS_OBJECT"]),
        (change("integer", "bigint"), ["REWRITES_TABLE"]),
        (change("integer", "integer NOT NULL"), ["LOCKS_TABLE"]),
        (change("integer NOT NULL", "integer"), []),
        (change("integer", "integer DEFAULT 1"), []),
        (change("'a'", "'a', 'b'", "enum"), []),
        (change("SELECT 1", "SELECT 2", "view"), ["DROPS_OBJECT"]),
    ],
)
def test_what_a_statement_costs_on_postgresql(recorded: Recorded, hazards: list[str]):
    assert [h.value for h in hazards_of_unit(unit(recorded), "postgresql")] == hazards


def test_sqlite_keeps_nobody_waiting_and_copies_in_a_rebuild():
    assert hazards_of_unit(unit(index("users", "ix")), "sqlite") == ()
    rebuild = unit(add_column("users", "c"), Recorded(sql="INSERT INTO _alembic_tmp_users"))
    assert hazards_of_unit(rebuild, "sqlite") == (Hazard.REWRITES_TABLE,)


def test_nobody_waits_for_a_table_that_the_same_cure_has_made():
    made = Made()
    made.note(unit(create("users", "id", schema="public")))
    found = index("users", "ix", schema="public")
    assert hazards_of_unit(unit(found), "postgresql", made) == ()
    assert hazards_of_unit(unit(found), "postgresql", Made()) == (Hazard.LOCKS_TABLE,)


@pytest.mark.parametrize(
    ("recorded", "undo"),
    [
        (add_column("users", "C d"), ('ALTER TABLE "users" DROP COLUMN "C d"',)),
        (index("users", "ix", schema="app"), ('DROP INDEX "app"."ix"',)),
        (extra("view", "", owner="v"), ('DROP VIEW "public"."v"',)),
        (extra("matview", "", owner="v"), ('DROP MATERIALIZED VIEW "public"."v"',)),
        (extra("enum", "mood", owner=""), ('DROP TYPE "public"."mood"',)),
        (extra("sequence", "s", owner=""), ('DROP SEQUENCE "public"."s"',)),
        (extra("function", "f(integer)", owner=""), ('DROP ROUTINE "public"."f"(integer)',)),
        (extra("trigger", "tr"), ('DROP TRIGGER "tr" ON "public"."users"',)),
        (extra("unique", "uq"), ('ALTER TABLE "public"."users" DROP CONSTRAINT "uq"',)),
        (
            change("integer", "integer NOT NULL"),
            ('ALTER TABLE "public"."users" ALTER COLUMN "c" DROP NOT NULL',),
        ),
        (
            change("integer NOT NULL DEFAULT 1", "integer"),
            (
                'ALTER TABLE "public"."users" ALTER COLUMN "c" SET NOT NULL',
                'ALTER TABLE "public"."users" ALTER COLUMN "c" SET DEFAULT 1',
            ),
        ),
        (change("integer", "bigint"), None),
        (change("'a'", "'a', 'b'", "enum"), None),
        (drop(fact("users", "column", "c")), None),
        (drop(*table("t", "id")), None),
    ],
)
def test_the_way_back_is_exact_or_there_is_none(recorded: Recorded, undo: tuple[str, ...] | None):
    told = Timeline(dialect="postgresql", rung="replay", revisions={})
    assert undo_of_unit(unit(recorded), told) == undo


def test_what_was_dropped_is_made_again_by_the_statement_that_made_it():
    made = index("users", "ix")
    told = timeline({"aaa1": (made,)})
    gone = Recorded(sql="DROP INDEX ix", removed=made.added)
    assert undo_of_unit(unit(gone), told) == (made.sql,)
    other = Recorded(sql="DROP INDEX ix", removed={fact("users", "index", "ix"): "(other)"})
    assert undo_of_unit(unit(other), told) is None


def test_a_rebuild_and_a_tied_column_have_no_way_back_on_sqlite():
    told = timeline({})
    rebuild = unit(add_column("users", "c"), Recorded(sql="INSERT INTO _alembic_tmp_users"))
    assert undo_of_unit(rebuild, told) is None
    tied = add_column("users", "c").added | {fact("users", "foreign_key", "fk"): "..."}
    assert undo_of_unit(unit(Recorded(sql="...", added=tied)), told) is None


# --- what is asked about


def test_a_revision_in_pieces_keeps_the_order_and_the_rebuilds_whole():
    first = Recorded(sql="CREATE TABLE _alembic_tmp_t", batch="t")
    second = Recorded(sql="RENAME", batch="t", added=add_column("t", "c").added)
    empty = Recorded(sql="CREATE TABLE _alembic_tmp_u", batch="u")
    between = data()
    told = timeline({"aaa1": (create("t", "id"), between, first, second, empty)})
    found = list(statements.pieces(told, "aaa1"))
    assert [piece.sql for piece in found] == [
        "CREATE TABLE t (...)",
        between.sql,
        "CREATE TABLE _alembic_tmp_t;\nRENAME",
    ]


@pytest.mark.parametrize(
    ("sql", "rows", "asked"),
    [
        ("COMMENT ON TABLE t IS 'x'", False, False),
        ("SET search_path TO app", False, False),
        ("GRANT SELECT ON t TO app", False, False),
        ("UPDATE t SET a = 1", True, True),
        ("DROP TABLE IF EXISTS legacy", False, True),
    ],
)
def test_what_nobody_can_see_is_asked_about(sql: str, rows: bool, asked: bool):
    told = timeline({"aaa1": (Recorded(sql=sql, data=rows),)})
    assert statements.has_data(told, "aaa1") is asked


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2)", 2),
        ("INSERT INTO t VALUES ('a;\nb')", 1),
        ("INSERT INTO t VALUES ('it''s;\n');\nINSERT INTO t VALUES (2)", 2),
        ("DO $$ BEGIN\nPERFORM 1;\nEND $$", 1),
    ],
)
def test_joined_statements_come_apart_again(sql: str, parts: int):
    assert len(split(sql)) == parts
    assert ";\n".join(split(sql)) == sql


# --- a table that has got rows is never dropped by an undo


def test_undo_keeps_a_table_with_rows_on_sqlite(tmp_path: Path):
    back = undo_of_unit(unit(create("t", "id")), timeline({}))
    assert back is not None
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (id INTEGER)")
        db.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.OperationalError):
            db.execute(back[0])
        db.execute("DELETE FROM t")
        for sql in back:
            db.execute(sql)
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_undo_keeps_a_table_with_rows_on_postgresql():
    back = undo_of_unit(unit(create("t", "id", schema="public")), timeline({}))
    assert back is not None
    url = server.running().create("cures")
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, autocommit=True) as db:
            db.execute("CREATE TABLE t (id INTEGER)")
            db.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(psycopg.errors.NotNullViolation):
                db.execute(back[0].encode())
            db.execute("DELETE FROM t")
            for sql in back:
                db.execute(sql.encode())
            assert db.execute("SELECT to_regclass('t')").fetchone() == (None,)
    finally:
        server.running().drop(make_url(url).database or "")
