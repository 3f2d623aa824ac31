"""MD409: the key is added where it can be; on SQLite by building the small table anew."""

import sqlite3
from contextlib import closing

import pytest

from migdoctor.checks.md409_version_table_without_primary_key import CHECK
from migdoctor.model import NeedsHuman, Observation, Remedy, Sql
from tests.checks.stored import cures, on_postgresql, statements, stored
from tests.facts import healthy, version_table

PLAIN = "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL\n)"
EXTRA = "CREATE TABLE alembic_version (version_num TEXT NOT NULL, by TEXT DEFAULT (upper('x')))"
STRICT = "CREATE TABLE alembic_version (version_num TEXT NOT NULL) STRICT"


def keyless(*rows: str | None, ddl: str | None = PLAIN) -> Observation:
    return stored(version_tables=(version_table(*rows, primary_key=False, ddl=ddl),))


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


def test_silent_without_a_version_table():
    assert not list(CHECK.find(stored(version_tables=())))


@pytest.mark.parametrize("rows", [("aaa1", "aaa1"), (None,), (None, "aaa1")])
def test_no_key_over_rows_that_do_not_allow_it(rows: tuple[str | None, ...]):
    (cure,) = cures(CHECK, keyless(*rows))
    assert isinstance(cure, NeedsHuman)


def test_no_key_over_a_table_whose_text_is_not_known():
    (cure,) = cures(CHECK, keyless("aaa1", ddl=None))
    assert isinstance(cure, NeedsHuman)


@pytest.mark.parametrize("ddl", [PLAIN, EXTRA, STRICT])
@pytest.mark.parametrize("rows", [(), ("aaa1",), ("aaa1", "zzz9")])
def test_on_sqlite_the_table_is_built_anew_and_undone_exactly(ddl: str, rows: tuple[str, ...]):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute(ddl)
        database.executemany(
            "INSERT INTO alembic_version (version_num) VALUES (?)", [(r,) for r in rows]
        )
        before = list(database.iterdump())
        (cure,) = cures(CHECK, keyless(*rows, ddl=ddl))
        assert isinstance(cure, Remedy)
        assert cure.hazards == ()
        database.execute("BEGIN IMMEDIATE")
        for sql in statements(cure):
            database.execute(sql)
        database.execute("COMMIT")
        keys = database.execute(
            "SELECT name FROM pragma_table_info('alembic_version') WHERE pk"
        ).fetchall()
        assert keys == [("version_num",)]
        kept = database.execute("SELECT version_num FROM alembic_version").fetchall()
        assert sorted(kept) == sorted((r,) for r in rows)
        for step in reversed(cure.steps):
            assert isinstance(step, Sql)
            for sql in step.undo or ():
                database.execute(sql)
        assert list(database.iterdump()) == before


def test_an_index_or_trigger_of_the_version_table_stops_it():
    (cure,) = cures(CHECK, keyless("aaa1"))
    assert isinstance(cure, Remedy)
    assert isinstance(cure.steps[0], Sql)
    guard = cure.steps[0].guard
    assert guard
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute(PLAIN)
        assert database.execute(guard.query).fetchone() == (guard.answer,)
        database.execute("CREATE INDEX ix ON alembic_version (version_num)")
        assert database.execute(guard.query).fetchone() != (guard.answer,)


@pytest.mark.parametrize(
    ("ddl", "nullable"),
    [
        (None, False),
        ("CREATE TABLE v (version_num varchar(32) NOT NULL)", False),
        ("CREATE TABLE v (version_num varchar(32))", True),
    ],
)
def test_on_postgresql_the_key_is_added(ddl: str | None, nullable: bool):
    table = version_table("aaa1", schema="public", primary_key=False, ddl=ddl)
    (cure,) = cures(CHECK, on_postgresql(version_tables=(table,)))
    alter = 'ALTER TABLE "public"."alembic_version"'
    key = '"alembic_version_pkc"'
    assert statements(cure) == [f"{alter} ADD CONSTRAINT {key} PRIMARY KEY (version_num)"]
    assert isinstance(cure, Remedy)
    assert isinstance(cure.steps[0], Sql)
    more = [f"{alter} ALTER COLUMN version_num DROP NOT NULL"] if nullable else []
    assert cure.steps[0].undo == (f"{alter} DROP CONSTRAINT {key}", *more)
