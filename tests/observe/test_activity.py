"""Who else is at work: a migration is told from readers, writers and autovacuum."""

from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.connect import address_of, open_reading
from migdoctor.errors import CannotConnect, NotApplicable
from migdoctor.facts import Activity, Session
from migdoctor.observe import activity
from tests.observe.databases import driver, in_background, script, wait_for_lock, writer

Run = Callable[[str], None]
TABLES = (
    "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('a');"
    "CREATE TABLE t (a int); INSERT INTO t VALUES (1)"
)


def look(url: str) -> Activity:
    with open_reading(address_of(url)) as session:
        return activity.read(session)


def of(seen: Activity, pid: int) -> Session:
    return next(s for s in seen.sessions if s.pid == pid)


def test_nobody_else(pg: str, pg_run: Run) -> None:
    pg_run(TABLES)
    assert look(pg) == Activity()


@pytest.mark.parametrize(
    "statements",
    [
        ["SELECT version_num FROM alembic_version"],
        ["SELECT * FROM t"],
        ["UPDATE t SET a = 2"],
        ["INSERT INTO t VALUES (2)", "CREATE TEMP TABLE x (a int)"],
        ["SELECT pg_advisory_xact_lock(1)"],
        ["CREATE TEMP TABLE x (a int)", "ALTER TABLE x ADD b int"],
        ["LOCK TABLE t IN EXCLUSIVE MODE"],
    ],
    ids=" then ".join,
)
def test_no_migration(pg: str, pg_run: Run, statements: list[str]) -> None:
    pg_run(TABLES)
    with driver(pg, application_name="web") as other, other.transaction(force_rollback=True):
        for statement in statements:
            other.execute(statement)  # type: ignore[call-overload]  # a str, not a literal
        session = of(look(pg), other.info.backend_pid)
    assert session.migrating is None
    assert (session.application, session.state) == ("web", "idle in transaction")


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["SELECT * FROM alembic_version", "ALTER TABLE t ADD b int"], "alembic_version"),
        (["SELECT * FROM alembic_version", "CREATE TABLE u (a int)"], "of its own transaction"),
        (["SELECT * FROM alembic_version", "UPDATE t SET a = 2"], "ROW EXCLUSIVE on public.t"),
        (["UPDATE alembic_version SET version_num = 'b'"], "alembic_version"),
        (["ALTER TABLE t ADD b int"], "it runs ALTER and ACCESS EXCLUSIVE on public.t"),
        (["/* by hand */ create index i on t (a)"], "it runs CREATE and SHARE on public.t"),
        ([f"SELECT pg_advisory_lock({activity.GUARD_KEY})"], "guard lock"),
    ],
)
def test_a_migration(pg: str, pg_run: Run, statements: list[str], why: str) -> None:
    pg_run(TABLES)
    with driver(pg) as other, other.transaction(force_rollback=True):
        for statement in statements:
            other.execute(statement)  # type: ignore[call-overload]  # a str, not a literal
        session = of(look(pg), other.info.backend_pid)
    assert session.migrating is not None
    assert why in session.migrating


def test_the_guard_lock_is_the_one_that_fix_takes() -> None:
    from migdoctor import apply

    assert activity.GUARD_KEY == apply.GUARD_KEY


def test_who_blocks_whom(pg: str, pg_run: Run) -> None:
    pg_run(TABLES)
    with driver(pg) as root, driver(pg) as ddl:
        root.execute("BEGIN")
        root.execute("SELECT * FROM t")
        pids = root.info.backend_pid, ddl.info.backend_pid
        with in_background(lambda: ddl.execute("ALTER TABLE t ADD b int")):
            wait_for_lock(pg)
            seen = look(pg)
            root.execute("ROLLBACK")
    blocker, waiting = (of(seen, pid) for pid in pids)
    assert waiting.blocked_by == (blocker.pid,)
    assert "waits for ACCESS EXCLUSIVE on public.t" in waiting.holds
    assert waiting.migrating is not None
    assert blocker.holds == ("ACCESS SHARE on public.t",)
    assert seen.exclusive == {"public.t": waiting.pid}


def test_a_role_without_rights_sees_the_locks(pg: str, pg_run: Run) -> None:
    pg_run(TABLES)
    pg_run("CREATE ROLE bare LOGIN")
    try:
        with driver(pg) as other, other.transaction(force_rollback=True):
            other.execute("UPDATE alembic_version SET version_num = 'b'")
            other.execute("ALTER TABLE t ADD b int")
            seen = look(pg.replace("postgres@", "bare@"))
            session = of(seen, other.info.backend_pid)
    finally:
        pg_run("DROP ROLE bare")
    assert session.migrating is not None
    assert session.state == "unknown"
    assert seen.exclusive == {"public.t": session.pid}


# --- SQLite -------------------------------------------------------------------------------------


def probe(path: Path) -> Activity:
    return activity.probe(address_of(f"sqlite:///{path}"))


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_readers_do_not_lock(sq: Path, mode: str) -> None:
    script(sq, f"PRAGMA journal_mode = {mode}; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    assert probe(sq) == Activity()
    with writer(sq, "BEGIN", "SELECT * FROM t"):
        assert probe(sq) == Activity()


@pytest.mark.parametrize(
    ("mode", "begin", "word"),
    [
        ("delete", "BEGIN IMMEDIATE", "RESERVED"),
        ("delete", "BEGIN EXCLUSIVE", "EXCLUSIVE"),
        ("wal", "BEGIN IMMEDIATE", "write lock of the log"),
    ],
)
def test_a_writer_is_named(sq: Path, mode: str, begin: str, word: str) -> None:
    script(sq, f"PRAGMA journal_mode = {mode}; CREATE TABLE t (a)")
    with writer(sq, begin, "INSERT INTO t VALUES (1)") as process:
        seen = probe(sq)
    assert seen.write_locked is not None
    assert f"process {process.pid} (" in seen.write_locked
    assert word in seen.write_locked
    assert [s.pid for s in seen.sessions] == [process.pid]
    assert seen.sessions[0].migrating is None
    assert probe(sq) == Activity()


@pytest.mark.parametrize(("name", "tool"), [("alembic", "alembic"), ("serve", None)])
def test_a_migration_is_known_by_its_program(sq: Path, name: str, tool: str | None) -> None:
    script(sq, "CREATE TABLE t (a)")
    folder = sq.parent / "alembic_home"
    folder.mkdir()
    at_work = ("BEGIN IMMEDIATE", "SELECT 'db://u:hidden@h/alembic'")
    with writer(sq, *at_work, program=folder / name):
        (session,) = probe(sq).sessions
    assert (session.migrating is not None) == (tool is not None)
    assert "hidden" not in session.query
    assert "***" in session.query


def test_probing_does_not_drop_a_lock_of_this_process(sq: Path) -> None:
    from migdoctor.connect import open_writing

    script(sq, "CREATE TABLE t (a)")
    address = address_of(f"sqlite:///{sq}")
    with open_writing(address) as session:
        session.begin()
        probe(sq)
        with open_reading(address):
            pass
        # Another process must still find the file locked.
        with pytest.raises(AssertionError), writer(sq, "BEGIN IMMEDIATE"):
            pass
        session.rollback()


def test_no_file_and_no_session(tmp_path: Path, sq: Path) -> None:
    with pytest.raises(CannotConnect, match="nothing was created"):
        probe(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == [sq.parent]
    script(sq, "CREATE TABLE t (a)")
    with open_reading(address_of(f"sqlite:///{sq}")) as session, pytest.raises(NotApplicable):
        activity.read(session)
