"""Leftovers of batch mode: which table, how many rows on either side, which views block."""

from collections.abc import Callable
from pathlib import Path

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import Quarantined, TmpTable
from migdoctor.observe import leftovers, schema
from tests.observe.databases import script

Seen = tuple[tuple[TmpTable, ...], tuple[Quarantined, ...]]


def look(url: str) -> Seen:
    with open_reading(address_of(url)) as session:
        return leftovers.read(session, schema.read(session, {}))


def test_nothing_left(sq: Path, pg: str) -> None:
    script(sq, "CREATE TABLE alembic_tmp_users (a); CREATE TABLE _tmp (a)")
    assert look(f"sqlite:///{sq}") == look(pg) == ((), ())


def test_both_row_counts(sq: Path) -> None:
    script(
        sq,
        "CREATE TABLE users (id INTEGER); INSERT INTO users VALUES (1), (2);"
        "CREATE TABLE _alembic_tmp_users (id INTEGER NOT NULL, b TEXT);"
        "CREATE TABLE _alembic_tmp_gone (x); INSERT INTO _alembic_tmp_gone VALUES (1), (2), (3);"
        "CREATE TABLE ghost (x); CREATE VIEW v AS SELECT x FROM Ghost; DROP TABLE ghost;"
        "CREATE VIEW w AS SELECT 'gone' AS a; CREATE VIEW u AS SELECT x FROM \"gone\";",
    )
    gone, users = look(f"sqlite:///{sq}")[0]
    assert (users.original, users.rows, users.original_rows) == ("users", 0, 2)
    assert (gone.original, gone.rows, gone.original_rows) == ("gone", 3, None)
    assert users.ddl == "CREATE TABLE _alembic_tmp_users (id INTEGER NOT NULL, b TEXT)"
    assert users.columns == ("id", "b")
    assert [name for name, _ in gone.blocking_views] == ["u"]


def test_a_name_that_alembic_cut_is_completed(sq: Path) -> None:
    full = "a_table_with_a_name_that_is_longer_than_fifty_characters"
    cut = f"_alembic_tmp_{full}"[:50]
    twin = full[:40] + "_another"
    script(
        sq,
        f"CREATE TABLE {full} (a, b, c); CREATE TABLE {twin} (x, y, z);"
        f"CREATE TABLE {cut} (a, b, d); INSERT INTO {full} VALUES (1, 1, 1)",
    )
    (tmp,) = look(f"sqlite:///{sq}")[0]
    assert (tmp.original, tmp.original_rows) == (full, 1)


def test_a_short_name_is_never_completed(sq: Path) -> None:
    script(sq, "CREATE TABLE users_more (a); CREATE TABLE _alembic_tmp_users (a)")
    (tmp,) = look(f"sqlite:///{sq}")[0]
    assert (tmp.original, tmp.original_rows) == ("users", None)


def test_tables_put_aside(sq: Path, pg: str, pg_run: Callable[[str], None]) -> None:
    sql = "CREATE TABLE _migdoctor_q_7_users (a int); INSERT INTO _migdoctor_q_7_users VALUES (1)"
    script(sq, sql)
    pg_run(sql)
    name = "_migdoctor_q_7_users"
    assert look(f"sqlite:///{sq}")[1] == (Quarantined(schema="main", name=name, rows=1),)
    assert look(pg)[1] == (Quarantined(schema="public", name=name, rows=1),)
