"""The census of version tables: every schema, rows as stored, the right one marked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.connect import address_of, open_reading
from migdoctor.errors import NotObserved
from migdoctor.facts import VersionTable
from migdoctor.observe import version_table
from tests.observe.databases import driver, script

Run = Callable[[str], None]


def look(
    url: str, schema: str | None = None, name: str = "alembic_version"
) -> tuple[VersionTable, ...]:
    with open_reading(address_of(url)) as session:
        return version_table.read(session, schema, name)


def test_no_table_is_no_error(pg: str, sq: Path) -> None:
    script(sq, "CREATE TABLE t (a)")
    assert look(pg) == look(f"sqlite:///{sq}") == ()


def test_rows_are_read_as_stored(pg: str, pg_run: Run, sq: Path) -> None:
    rows = "INSERT INTO alembic_version VALUES ('b'), (NULL), ('a '), ('b'), ('')"
    script(sq, f"CREATE TABLE alembic_version (version_num VARCHAR(32)); {rows}")
    pg_run(f"CREATE TABLE alembic_version (version_num varchar(32)); {rows}")
    (lite,) = look(f"sqlite:///{sq}")
    (full,) = look(pg)
    assert lite.rows == full.rows == ("b", None, "a ", "b", "")
    assert (lite.width, full.width) == (None, 32)
    assert not lite.primary_key
    assert not full.primary_key
    assert lite.configured
    assert full.configured
    assert lite.ddl == "CREATE TABLE alembic_version (version_num VARCHAR(32))"
    assert full.owner == "postgres"


def test_every_schema_is_searched_and_the_roles_path_decides(pg: str, pg_run: Run) -> None:
    pg_run(
        "CREATE SCHEMA app;"
        "CREATE TABLE app.alembic_version (version_num text PRIMARY KEY, at int);"
        "INSERT INTO app.alembic_version VALUES ('a');"
        "CREATE TABLE alembic_version (version_num varchar(99))"
    )
    assert [(t.schema, t.configured) for t in look(pg)] == [("app", False), ("public", True)]
    pg_run("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = app, public',"
           " current_database()); END$$")  # fmt: skip
    app, public = look(pg)
    assert (app.configured, public.configured) == (True, False)
    assert (app.rows, app.extra_columns, app.primary_key) == (("a",), ("at",), True)
    assert app.width is None
    assert public.width == 99
    assert [t.configured for t in look(pg, schema="public")] == [False, True]
    assert not any(t.configured for t in look(pg, schema="nowhere"))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_custom_name_is_found_and_a_namesake_is_not(
    pg: str, pg_run: Run, sq: Path, engine: str
) -> None:
    sql = (
        "CREATE TABLE my_state (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT my_state_pkc PRIMARY KEY (version_num));"
        "CREATE TABLE alembic_version_notes (note TEXT);"
        "CREATE TABLE releases (version_num INT, title TEXT)"
    )
    if engine == "sqlite":
        script(sq, sql)
    else:
        pg_run(sql)
    url = pg if engine == "postgresql" else f"sqlite:///{sq}"
    assert [(t.name, t.configured) for t in look(url)] == [("my_state", False)]
    assert [(t.name, t.configured) for t in look(url, name="my_state")] == [("my_state", True)]
    with pytest.raises(NotObserved, match="has no column version_num"):
        look(url, name="alembic_version_notes")


def test_a_table_that_may_not_be_read_is_blindness(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE alembic_version (version_num text)")
    pg_run("CREATE ROLE bare LOGIN")
    try:
        with pytest.raises(NotObserved, match="may not read"):
            look(pg.replace("postgres@", "bare@"))
        pg_run("GRANT SELECT ON alembic_version TO bare")
        assert len(look(pg.replace("postgres@", "bare@"))) == 1
        pg_run("CREATE TABLE others_alembic_version (version_num text)")
        _, other = look(pg.replace("postgres@", "bare@"))
        assert (other.name, other.rows, other.configured) == ("others_alembic_version", (), False)
        assert other.unread.startswith("this role may not read it")
    finally:
        pg_run("DROP OWNED BY bare; DROP ROLE bare")


def test_a_locked_table_is_blindness_with_the_holder(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE alembic_version (version_num text)")
    with driver(pg) as holder, holder.transaction(force_rollback=True):
        holder.execute("ALTER TABLE alembic_version ADD x int")
        with pytest.raises(NotObserved, match=f"session {holder.info.backend_pid} holds it"):
            look(pg)


def test_letters_of_a_sqlite_name_do_not_matter(sq: Path) -> None:
    script(
        sq,
        "CREATE TABLE Alembic_Version (Version_Num TEXT); INSERT INTO Alembic_Version VALUES (7)",
    )
    (table,) = look(f"sqlite:///{sq}")
    assert (table.name, table.rows, table.configured) == ("Alembic_Version", ("7",), True)
