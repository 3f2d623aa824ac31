"""Copies have the facts and version rows of the original, and leave nothing behind."""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from migdoctor.connect import Session, address_of, open_reading, open_writing
from migdoctor.errors import NotObserved
from migdoctor.facts import Schema, VersionTable
from migdoctor.observe import schema, version_table
from migdoctor.shadow import copies, server
from tests.observe.databases import driver, script, writer
from tests.observe.test_schema_postgresql import ZOO

ROWS = "INSERT INTO alembic_version VALUES ('a'), (NULL), ('it''s'), ('a')"


def look(session: Session) -> tuple[Schema, tuple[VersionTable, ...]]:
    return schema.read(session, {}), version_table.read(session, None, "alembic_version")


@pytest.fixture
def pg() -> Iterator[str]:
    running = server.running()
    url = running.create("copies")
    yield url
    running.drop(url)


@pytest.fixture
def sq(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    script(
        path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32));"
        f"{ROWS}; CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT);"
        "INSERT INTO t (a) VALUES ('x'); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t;"
        "CREATE TABLE _alembic_tmp_t (a); CREATE VIRTUAL TABLE f USING fts5(a);"
        "CREATE TRIGGER g AFTER DELETE ON t BEGIN DELETE FROM t; END; CREATE TABLE gone (a);"
        "CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone",
    )
    return path


def databases() -> set[str]:
    with driver(server.running().admin_url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_file_copy_is_the_whole_file(sq: Path, mode: str) -> None:
    script(sq, f"PRAGMA journal_mode = {mode}")
    before = hashlib.sha256(sq.read_bytes()).hexdigest()
    with open_reading(address_of(f"sqlite:///{sq}")) as session:
        seen = look(session)
        with copies.copy_of(session, seen[1]) as (address, how):
            assert how == "file-copy"
            assert address.path is not None
            assert address.path.parent.stat().st_mode & 0o777 == 0o700
            with open_writing(address) as copy:
                assert copy.query("SELECT a FROM t") == [("x",)]
                copy.run("DROP TABLE alembic_version")
            with open_reading(address) as copy:
                assert schema.read(copy, {}).facts == seen[0].facts
            assert [p.name for p in address.path.parent.iterdir()] == ["app.db"]
    assert not address.path.parent.exists()
    assert hashlib.sha256(sq.read_bytes()).hexdigest() == before


def test_a_clone_has_the_same_schema_and_no_rows(sq: Path) -> None:
    with open_reading(address_of(f"sqlite:///{sq}")) as session:
        seen = schema.read(session, {})
        with copies.schema_clone(session) as address, open_reading(address) as clone:
            there = schema.read(clone, {})
            assert clone.query("SELECT count(*) FROM t") == [(0,)]
    assert there == seen
    assert address.path is not None
    assert not address.path.parent.exists()


def test_a_locked_file_is_not_waited_for_for_ever(
    sq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_PATIENCE", 0.5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        writer(sq, "BEGIN EXCLUSIVE"),
        open_reading(address_of(f"sqlite:///{sq}")) as session,
        pytest.raises(NotObserved, match="locked"),
        copies.copy_of(session, ()),
    ):
        pass
    assert not list(tmp_path.glob("migdoctor-copy-*"))


def test_a_schema_copy_has_every_fact_and_row(pg: str) -> None:
    with driver(pg) as connection:
        table = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"
        sql = ZOO.replace(table, table.replace(" PRIMARY KEY", "")) + ROWS
        connection.execute(sql)  # type: ignore[call-overload]  # a str, not a literal
        connection.execute("INSERT INTO users (email) VALUES ('a')")
    with open_reading(address_of(pg)) as session:
        seen = look(session)
        assert seen[1][0].rows == ("a", None, "it's", "a")
        with copies.copy_of(session, seen[1]) as (address, how):
            assert how == "schema-copy"
            with open_reading(address) as copy:
                facts, tables = look(copy)
                assert copy.query("SELECT count(*) FROM public.users") == [(0,)]
    assert facts.lines() == seen[0].lines()
    assert tables == seen[1]
    assert not {name for name in databases() if name.startswith("migdoctor_copy_")}


def test_the_roles_path_goes_with_the_copy(pg: str) -> None:
    with driver(pg) as connection:
        connection.execute(
            'CREATE SCHEMA "App"; CREATE TABLE "App".alembic_version (version_num text);'
            "INSERT INTO \"App\".alembic_version VALUES ('a'); DROP SCHEMA public"
        )
    with open_reading(address_of(pg, {"options": '-c search_path="App"'})) as session:
        seen = look(session)
        assert seen[1][0].configured
        with (
            copies.copy_of(session, seen[1]) as (address, _),
            open_reading(address) as copy,
        ):
            assert look(copy)[1] == seen[1]
            assert look(copy)[0].facts == seen[0].facts


def test_policies_for_roles_of_the_live_server(pg: str) -> None:
    with driver(pg) as connection:
        connection.execute("CREATE ROLE tenant")
        connection.execute("CREATE TABLE t (a int); CREATE POLICY p ON t TO tenant USING (a > 0)")
        try:
            with (
                open_reading(address_of(pg)) as session,
                copies.copy_of(session, ()) as (address, _),
                open_reading(address) as copy,
            ):
                assert look(copy)[0].facts == look(session)[0].facts
        finally:
            connection.execute("DROP OWNED BY tenant; DROP ROLE tenant")


def test_a_locked_table_makes_no_copy_and_nothing_waits(pg: str) -> None:
    with driver(pg) as holder, open_reading(address_of(pg)) as session:
        holder.execute("CREATE TABLE t (a int)")
        with holder.transaction(force_rollback=True):
            holder.execute("LOCK TABLE t")
            with pytest.raises(NotObserved, match="holds a table"), copies.copy_of(session, ()):
                pass
    assert not {name for name in databases() if name.startswith("migdoctor_copy_")}


def test_a_role_without_rights_makes_no_copy(pg: str) -> None:
    with driver(pg) as connection:
        connection.execute("CREATE TABLE t (a int); CREATE ROLE bare LOGIN PASSWORD 'hunter2'")
        try:
            url = pg.replace("postgres@", "bare:hunter2@")
            with (
                open_reading(address_of(url)) as session,
                pytest.raises(NotObserved, match="permission denied") as error,
                copies.copy_of(session, ()),
            ):
                pass
            assert "hunter2" not in str(error.value)
        finally:
            connection.execute("DROP ROLE bare")


def test_an_extension_that_the_shadow_lacks(pg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with driver(pg) as connection:
        connection.execute("CREATE EXTENSION vector; CREATE TABLE plain (a int)")
        with open_reading(address_of(pg)) as session:
            seen = look(session)[0]
            # Two servers that differ: the same one, its list of extensions cut for the copy.
            lacking = copies._NEEDS, copies._prepare
            monkeypatch.setattr(
                copies, "_prepare", lambda *given: (lacking[1](*given), ("vector",))[1]
            )
            with copies.copy_of(session, ()) as (address, _), open_reading(address) as copy:
                there = look(copy)[0]
            assert set(seen.facts) - set(there.facts) == {
                k for k in seen.facts if k.kind == "extension"
            }
            connection.execute("CREATE TABLE t (v vector(3))")
            why = "lacks the extension vector"
            with pytest.raises(NotObserved, match=why), copies.copy_of(session, ()):
                pass


def test_no_password_on_the_command_line(pg: str, tmp_path: Path) -> None:
    fake = tmp_path / "pg_dump"
    fake.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/seen\nexec {server.running().bin("pg_dump")} "$@"\n'
    )
    fake.chmod(0o755)

    address = address_of(pg.replace("postgres@", "postgres:hun%27ter2@"))
    copies._dump(address, replace(server.running().programs, folder=tmp_path), ())
    seen = (tmp_path / "seen").read_text()
    assert "hun" not in seen
    assert "dbname" in seen


def test_an_older_shadow_is_refused(pg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.running(), "version", 12)
    with (
        open_reading(address_of(pg)) as session,
        pytest.raises(NotObserved, match="cannot read a server"),
        copies.copy_of(session, ()),
    ):
        pass
