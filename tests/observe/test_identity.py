"""Which database, and what the role may do there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import Identity
from migdoctor.observe import identity, version_table
from tests.observe.databases import driver, script

Run = Callable[[str], None]


def look(url: str) -> Identity:
    with open_reading(address_of(url)) as session:
        tables = version_table.read(session, None, "alembic_version")
        return identity.read(session, tables[0] if tables else None)


def test_an_owner_lacks_nothing(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE alembic_version (version_num text); CREATE TABLE t (a int)")
    seen = look(pg)
    assert (seen.lacks, seen.statements, seen.read_only) == ((), (), "")
    assert (seen.role, seen.search_path) == ("postgres", ("public",))
    assert seen.database in pg
    assert seen.host in pg


def test_a_reader_is_told_what_it_lacks_and_the_grants_help(pg: str, pg_run: Run) -> None:
    pg_run("CREATE TABLE alembic_version (version_num text); CREATE TABLE t (a int)")
    pg_run("REVOKE CREATE ON SCHEMA public FROM public")  # up to 14 everybody may
    pg_run("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    url = pg.replace("postgres@", "reader@")
    try:
        seen = look(url)
        assert len(seen.lacks) == 3
        assert "INSERT, UPDATE, DELETE on the version table public.alembic_version" in seen.lacks[1]
        assert "does not own 1 table of schema public (t; owner postgres)" in seen.lacks[2]
        with driver(pg) as connection:
            for statement in seen.statements:
                connection.execute(statement)  # type: ignore[call-overload]  # a str
        assert look(url).lacks == ()
    finally:
        pg_run("DROP OWNED BY reader; DROP ROLE reader")


def test_no_schema_at_all(pg: str, pg_run: Run) -> None:
    pg_run("DROP SCHEMA public")
    assert "no schema of the search_path exists" in look(pg).lacks[0]


def test_read_only_by_default_is_seen_through_our_own_setting(pg: str, pg_run: Run) -> None:
    assert look(pg).read_only == ""
    pg_run("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',"
           " current_database()); END$$")  # fmt: skip
    assert look(pg).read_only.startswith("default_transaction_read_only is on")


def test_a_sqlite_file(sq: Path) -> None:
    script(sq, "CREATE TABLE t (a)")
    seen = look(f"sqlite:///{sq}")
    assert (seen.database, seen.size, seen.read_only) == (str(sq), sq.stat().st_size, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written(sq: Path) -> None:
    script(sq, "CREATE TABLE t (a)")
    sq.chmod(0o444)
    assert "may not write" in look(f"sqlite:///{sq}").read_only
