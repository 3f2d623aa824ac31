"""Addresses of every driver, and connections to real databases that are well, locked or ill."""

import contextlib
import hashlib
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from migdoctor.connect import StatementFailed, address_of, mask_url, open_reading, open_writing
from migdoctor.errors import CannotConnect, NotObserved, UsageError
from migdoctor.shadow import server
from tests.observe.databases import driver, script, writer
from tests.running import live_server

# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2", "postgresql+pg8000",
     "postgresql+psycopg", "postgresql+psycopg_async"],
)  # fmt: skip
def test_every_driver_of_postgresql_is_mapped(scheme: str) -> None:
    address = address_of(f"{scheme}://me:p%40s%2Fs%3A%25@db:5433/app?sslmode=require")
    assert address.url == "postgresql+psycopg://me:p%40s%2Fs%3A%25@db:5433/app?sslmode=require"
    assert address.masked == "postgresql://me:***@db:5433/app?sslmode=require"
    assert (address.dialect, address.path, address.host) == ("postgresql", None, "db")


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_every_driver_of_sqlite_is_mapped(scheme: str, tmp_path: Path) -> None:
    address = address_of(f"{scheme}:///data/app.db?check_same_thread=false", base=tmp_path)
    assert address.path == tmp_path / "data/app.db"
    assert address.masked == f"sqlite:///{tmp_path}/data/app.db"
    assert address_of(f"{scheme}:////abs/app.db", base=tmp_path).path == Path("/abs/app.db")
    assert (
        address_of("sqlite:///file:x.db?uri=true&mode=ro", base=tmp_path).path == tmp_path / "x.db"
    )


@pytest.mark.parametrize(
    ("query", "arguments", "kept"),
    [
        ("ssl=require", {}, "?sslmode=require"),
        ("ssl=true", {}, "?sslmode=require"),
        ("", {"ssl": False}, "?sslmode=disable"),
        ("prepared_statement_cache_size=0&command_timeout=3", {"statement_cache_size": 0}, ""),
        ("passfile=/x&service=y", {"timeout": 4}, "?passfile=%2Fx&service=y"),
        ("host=/var/run/postgresql", {}, "?host=%2Fvar%2Frun%2Fpostgresql"),
    ],
)
def test_what_only_another_driver_knows_is_translated_or_dropped(
    query: str, arguments: dict[str, object], kept: str
) -> None:
    address = address_of(f"postgresql+asyncpg://me@db/app?{query}", arguments)
    assert address.url == f"postgresql+psycopg://me@db/app{kept}"
    assert not address.connect_args


def test_settings_of_asyncpg_reach_the_server() -> None:
    given = {"server_settings": {"search_path": "a b", "application_name": "web"}}
    address = address_of("postgresql+asyncpg://db/app", given)
    assert address.connect_args == {"options": "-c search_path=a\\ b"}


def test_no_secret_becomes_text() -> None:
    url = "postgresql://me:hunter2@db/app?sslpassword=s3cret&passfile=/etc/pass&x_token=tok"
    for text in (address_of(url).masked, repr(address_of(url)), mask_url("mysql://a:hunter2@h/d")):
        assert "hunter2" not in text
        assert "s3cret" not in text
    assert "passfile=/etc/pass" in mask_url(url)
    assert "tok" not in mask_url(url).replace("x_token", "")
    address = address_of("postgresql://me:p%40ss@db/app", {"password": "other"})
    assert address.mask("p@ss or p%40ss or other, compass") == "*** or *** or ***, compass"


def test_same_database() -> None:
    here = address_of("postgresql+asyncpg://a:b@localhost/app")
    assert here.same_as(address_of("postgresql://c@127.0.0.1:5432/app"))
    assert not here.same_as(address_of("postgresql://a:b@localhost:5433/app"))
    assert not here.same_as(address_of("postgresql://a:b@localhost/other"))
    file = address_of("sqlite:////tmp/x/../a.db")
    assert file.same_as(address_of("sqlite:////tmp/a.db"))
    assert not file.same_as(here)


def test_what_is_no_address() -> None:
    with pytest.raises(UsageError) as error:
        address_of("postgresql//me:hunter2@db/app")
    assert "hunter2" not in str(error.value)
    with pytest.raises(UsageError) as error:
        address_of("postgresql://me:hunter2@db:port/app")
    assert "hunter2" not in str(error.value)
    with pytest.raises(CannotConnect, match="mysql"):
        address_of("mysql+pymysql://me:x@db/app")
    with pytest.raises(CannotConnect, match="in memory"):
        address_of("sqlite://")


def test_importing_the_module_imports_no_library() -> None:
    code = (
        "import sys, migdoctor.connect, migdoctor.address, migdoctor.sqlite_files;"
        "sys.exit('sqlalchemy' in sys.modules or 'psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- PostgreSQL ---------------------------------------------------------------------------------


@pytest.fixture
def pg() -> Iterator[str]:
    running = live_server()
    url = running.create("connect")
    yield url
    running.drop(url)


def test_a_reading_session_cannot_write_and_waits_two_seconds(pg: str) -> None:
    with open_reading(address_of(pg)) as session:
        names = "default_transaction_read_only lock_timeout statement_timeout search_path"
        names += " application_name jit client_min_messages"
        asked = ", ".join(f"current_setting('{name}')" for name in names.split())
        assert session.query(f"SELECT {asked}") == [
            ("on", "2s", "30s", "", "migdoctor", "off", "error")
        ]
        assert session.search_path == ("public",)
        assert session.server_version >= 130000
        with pytest.raises(NotObserved, match="25006"):
            session.query("CREATE TABLE t ()")
        with pytest.raises(TypeError):
            session.run("CREATE TABLE t ()")


def test_statements_go_out_as_they_are(pg: str) -> None:
    with open_reading(address_of(pg)) as session:
        assert session.query("SELECT '100%', '%s', ':x'") == [("100%", "%s", ":x")]
        assert session.query("SELECT %s::text", ("a%b",)) == [("a%b",)]
        assert session.statements[1:] == ["SELECT '100%', '%s', ':x'", "SELECT %s::text"]


def test_the_projects_own_settings_are_learnt(pg: str) -> None:
    with driver(pg) as connection:
        connection.execute("CREATE SCHEMA app; CREATE SCHEMA other")
    args = {"options": "-c search_path=other,nowhere,app"}
    with open_reading(address_of(pg, args)) as session:
        assert session.search_path == ("other", "app")
        assert session.query("SHOW search_path") == [("",)]
        assert session.query("SHOW lock_timeout") == [("2s",)]


def test_a_writing_session(pg: str) -> None:
    with open_writing(address_of(pg)) as session:
        session.run("CREATE TABLE t (a int)")
        session.begin()
        assert session.run("INSERT INTO t VALUES (1), (2)") == 2
        session.rollback()
        session.begin()
        session.run("INSERT INTO t VALUES (3)")
        session.commit()
        assert session.query("SELECT a FROM t") == [(3,)]
        with pytest.raises(StatementFailed, match="already exists") as error:
            session.run("CREATE TABLE t (a int)")
        assert error.value.sqlstate == "42P07"
        assert session.query("SHOW lock_timeout") == [("2s",)]


def test_connections_that_fail_say_why_in_two_sentences(pg: str) -> None:
    socket_folder = pg.split("host=")[1].split("&")[0]
    cases = {
        f"postgresql://postgres:hunter2@/nope?host={socket_folder}": '"nope" does not exist',
        f"postgresql://nobody1:hunter2@/postgres?host={socket_folder}": 'role "nobody1"',
        "postgresql://me:hunter2@127.0.0.1:1/app": "refused",
        "postgresql://me:hunter2@no-such-host.invalid/app": "no-such-host.invalid",
        "postgresql://me:hunter2@/app?host=/no/such/folder": "No such file",
    }
    for url, words in cases.items():
        with pytest.raises(CannotConnect, match=words) as error:
            open_reading(address_of(url))
        assert "hunter2" not in str(error.value)
        assert error.value.help


@contextlib.contextmanager
def with_password(role: str, password: str) -> Iterator[str]:
    """A role that must give its password; the host of the private server."""
    running = server.running()
    rules = running.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    with driver(running.admin_url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")  # type: ignore[call-overload]  # a str
        rules.write_text(f"local all {role} scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf(), pg_sleep(0.3)")
        try:
            yield str(running.folder / "s")
        finally:
            rules.write_text(before)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]  # a str


def test_passwords(pg: str) -> None:
    with with_password("guarded", "p@s/s:%x") as host:
        with open_reading(
            address_of(f"postgresql+asyncpg://guarded:p%40s%2Fs%3A%25x@/postgres?host={host}")
        ) as session:
            assert session.query("SELECT current_user") == [("guarded",)]
        for url in ("postgresql://guarded:wr0ng@/postgres", "postgresql://guarded@/postgres"):
            with pytest.raises(CannotConnect, match=r"password|Password") as error:
                open_reading(address_of(f"{url}?host={host}"))
            assert "wr0ng" not in str(error.value)
            assert "password" in error.value.help or "pg_hba" in error.value.help


@contextlib.contextmanager
def pooler(pg: str) -> Iterator[str]:
    """A relay that refuses start-up options, as PgBouncer does; the URL that leads through it."""
    folder = pg.split("host=")[1].split("&")[0]
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def relay(client: socket.socket) -> None:
        with client:
            while True:
                size, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
                body = client.recv(size - 8, socket.MSG_WAITALL) if size > 8 else b""
                if code == 196608:
                    break
                client.sendall(b"N")  # no TLS, no GSS
            if b"\0options\0" in b"\0" + body:
                text = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
                client.sendall(b"E" + struct.pack("!i", len(text) + 4) + text)
                return
            with socket.socket(socket.AF_UNIX) as upstream:
                upstream.connect(f"{folder}/.s.PGSQL.5432")
                upstream.sendall(struct.pack("!ii", size, code) + body)
                back = threading.Thread(target=pour, args=(upstream, client))
                back.start()
                pour(client, upstream)
                back.join()

    def pour(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=relay, args=(listener.accept()[0],))
                thread.start()
                threads.append(thread)

    server_thread = threading.Thread(target=serve)
    server_thread.start()
    name = pg.split("@/")[1].split("?")[0]
    try:
        yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/{name}?sslmode=disable"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (server_thread, *threads):
            thread.join(10)


def test_behind_a_pooler_no_setting_stays_on_the_server(pg: str) -> None:
    with pooler(pg) as url, open_reading(address_of(url)) as session:
        assert "pooler" in session.note
        assert session.search_path == ("public",)
        assert session.query("SELECT current_setting('search_path'), pg_is_in_recovery()") == [
            ('""', False)
        ]
        assert session.query("SHOW transaction_read_only") == [("on",)]
        assert session.query("SHOW lock_timeout") == [("2s",)]
        with pytest.raises(NotObserved, match="25006"):
            session.query("CREATE TABLE t ()")
        # What the next user of this server connection would find.
        session._around = None
        assert session.query("SHOW lock_timeout") == [("0",)]
        assert session.query("SHOW default_transaction_read_only") == [("off",)]


# --- SQLite -------------------------------------------------------------------------------------


@pytest.fixture
def sq(tmp_path: Path) -> Path:
    folder = tmp_path / "db # 100%"
    folder.mkdir()
    return folder / "app ü.db"


def state(path: Path) -> dict[str, str]:
    """Every file of the folder, with a hash of its content."""
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in path.parent.iterdir()
        if not p.name.endswith("-shm")
    }


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_reading_session_cannot_write_sqlite(sq: Path) -> None:
    script(sq, "CREATE TABLE t (a); INSERT INTO t VALUES ('%s')")
    before = state(sq)
    with open_reading(address_of(url_of(sq))) as session:
        assert session.query("SELECT a, '%' FROM t WHERE a <> ?", ("x",)) == [("%s", "%")]
        assert session.note == ""
        with pytest.raises(NotObserved, match="SQLITE_READONLY"):
            session.query("DELETE FROM t")
    assert state(sq) == before


def test_what_is_no_database(sq: Path) -> None:
    for name, content, words in (
        ("none.db", None, "nothing was created"),
        ("text.db", b"this is no database at all, only text\n" * 40, "no SQLite database"),
    ):
        path = sq.parent / name
        if content is not None:
            path.write_bytes(content)
        before = state(sq)
        for way in (open_reading, open_writing):
            with pytest.raises(CannotConnect, match=words):
                way(address_of(url_of(path)))
        assert state(sq) == before
    with pytest.raises(CannotConnect, match="is a directory"):
        open_reading(address_of(url_of(sq.parent)))
    with pytest.raises(CannotConnect, match="nothing was created"):
        open_reading(address_of(url_of(sq.parent / "no" / "folder.db")))


def test_an_empty_file_is_an_empty_database(sq: Path) -> None:
    sq.touch()
    with open_reading(address_of(url_of(sq))) as session:
        assert session.query("SELECT count(*) FROM sqlite_master") == [(0,)]
    assert sq.stat().st_size == 0


def test_a_log_that_nobody_has_open_is_read_without_a_trace(sq: Path) -> None:
    script(sq, "PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    assert list(sq.parent.iterdir()) == [sq]
    before = state(sq)
    with open_reading(address_of(url_of(sq))) as session:
        assert session.query("SELECT a FROM t") == [(1,)]
        assert "private copy" in session.note
    assert list(sq.parent.iterdir()) == [sq]
    assert state(sq) == before


def test_a_log_in_use_is_read_in_place(sq: Path) -> None:
    script(sq, "PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    at_work = ("INSERT INTO t VALUES (2)", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (3)")
    with writer(sq, *at_work), open_reading(address_of(url_of(sq))) as session:
        assert session.query("SELECT a FROM t") == [(1,), (2,)]
        assert session.note == ""


def test_the_log_of_a_killed_writer_counts(sq: Path) -> None:
    script(sq, "PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    with writer(sq, "INSERT INTO t VALUES (2)"):
        pass
    assert sq.with_name(sq.name + "-wal").stat().st_size
    before = state(sq)
    with open_reading(address_of(url_of(sq))) as session:
        assert session.query("SELECT a FROM t") == [(1,), (2,)]
    assert state(sq) == before


def test_a_hot_journal_is_rolled_back_in_a_copy_only(sq: Path, tmp_path: Path) -> None:
    script(sq, "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    grow = (
        "INSERT INTO t SELECT randomblob(1000) FROM"
        " (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)"
        " SELECT i FROM n)"
    )
    with writer(sq, "PRAGMA cache_size = 5", "BEGIN", "UPDATE t SET a = 2", grow) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = state(sq)
    assert f"{sq.name}-journal" in before
    with open_reading(address_of(url_of(sq))) as session:
        assert session.query("SELECT a FROM t") == [(1,)]
        assert "killed" in session.note
        copy = Path(session.query("PRAGMA database_list")[0][2])
        assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert state(sq) == before
    assert not copy.parent.exists()
    with open_writing(address_of(url_of(sq))) as session:
        assert session.query("SELECT a FROM t") == [(1,)]


def test_a_locked_file_is_no_missing_one(sq: Path) -> None:
    script(sq, "CREATE TABLE t (a)")
    address = address_of(url_of(sq))
    with writer(sq, "BEGIN EXCLUSIVE"):
        with open_reading(address) as session:
            assert "locked" in session.note
            with pytest.raises(NotObserved, match="locked"):
                session.query("SELECT * FROM t")
        with open_writing(address) as session, pytest.raises(StatementFailed) as error:
            session.begin()
        assert error.value.sqlstate == "SQLITE_BUSY"
    with writer(sq, "BEGIN IMMEDIATE"), open_reading(address) as session:
        assert session.query("SELECT * FROM t") == []


@pytest.mark.parametrize("name", ["app.db", "/srv/a b.db", "a:b@c#d.db", "a%20b.db", "a.db?x=1"])
def test_a_plain_sqlite_url_is_read_as_sqlalchemy_reads_it(name: str, tmp_path: Path) -> None:
    database = make_url(f"sqlite+aiosqlite:///{name}").database or ""
    address = address_of(f"sqlite+aiosqlite:///{name}", base=tmp_path)
    assert address.path == tmp_path / database


def test_functions_that_sqlalchemy_gives_are_there(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as made:
        made.create_function("regexp", 2, lambda a, b: a == b, deterministic=True)
        made.execute("CREATE TABLE t (x TEXT CHECK (x REGEXP '^a'), y INT CHECK (floor(y) < 9))")
        made.commit()
    with open_writing(address_of(f"sqlite:///{tmp_path}/app.db")) as session:
        assert session.run("INSERT INTO t VALUES ('abc', 1)") == 1
        with pytest.raises(StatementFailed):
            session.run("INSERT INTO t VALUES ('bca', 1)")


def test_damage_that_shows_only_while_rows_are_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (x TEXT)")
        made.executemany("INSERT INTO t VALUES (?)", [("a" * 500,)] * 200)
        made.commit()
    data = bytearray(path.read_bytes())
    data[-4096 * 3 :] = b"\xff" * 4096 * 3
    path.write_bytes(data)
    with open_reading(address_of(f"sqlite:///{path}")) as session:
        assert session.query("SELECT count(*) FROM sqlite_master") == [(1,)]
        with pytest.raises(NotObserved, match="malformed"):
            session.query("SELECT x FROM t")
