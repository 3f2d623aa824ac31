"""--shadow-url: a server of the user's replays and rehearses, and is left as it was."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from migdoctor import rehearse
from migdoctor.connect import Address, address_of, open_reading, open_writing
from migdoctor.errors import NotObserved
from migdoctor.model import Sql
from migdoctor.observe.look import observe
from migdoctor.project.config import Request
from migdoctor.samples import Box
from migdoctor.shadow import binaries, copies, host, server
from migdoctor.target import open_target
from migdoctor.timeline import Timeline
from tests.observe.databases import driver
from tests.running import dump, migdoctor

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
SECRET = "hunter2-of-the-maker"
PARTLY = "md503_partially_applied"


@dataclass(frozen=True)
class Users:
    """A server of the user's, on TCP; `maker` may make databases and no more, `mighty` may all."""

    port: int

    def url(self, role: str = "maker", database: str = "postgres") -> str:
        return f"postgresql://{role}:{SECRET}@127.0.0.1:{self.port}/{database}"

    def address(self, role: str = "maker") -> Address:
        return address_of(self.url(role))

    def run(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        url = self.url("postgres", database)
        with psycopg.connect(url, autocommit=True) as connection:
            done = connection.execute(sql)  # type: ignore[call-overload]  # a str, not a literal
            return list(done) if done.description else []

    def everything(self) -> list[tuple[object, ...]]:
        """All that is there beyond the content of a database."""
        return self.run(
            "SELECT datname::text, datacl::text, shobj_description(oid, 'pg_database') FROM"
            " pg_database UNION ALL SELECT rolname, rolcanlogin::text, rolconnlimit::text FROM"
            " pg_authid UNION ALL SELECT setdatabase::text, setrole::text, setconfig::text FROM"
            " pg_db_role_setting ORDER BY 1, 2, 3"
        )

    def ours(self) -> list[str]:
        names = self.run("SELECT datname FROM pg_database WHERE datname LIKE 'migdoctor%'")
        return sorted(str(name) for (name,) in names)


@contextlib.contextmanager
def started(programs: binaries.Binaries) -> Iterator[Users]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        tcp = {"listen_addresses": "127.0.0.1", "port": str(port)}
        patch.setattr(server, "_SETTINGS", server._SETTINGS | tcp)
        serving = server.started(programs)
    try:
        users = Users(port)
        users.run(f"CREATE ROLE maker LOGIN CREATEDB PASSWORD '{SECRET}'")
        users.run(f"CREATE ROLE mighty LOGIN SUPERUSER PASSWORD '{SECRET}'")
        users.run(f"CREATE ROLE bare LOGIN PASSWORD '{SECRET}'")
        rules = serving.folder / "data" / "pg_hba.conf"
        rules.write_text("host all postgres all trust\nhost all all all scram-sha-256\n")
        users.run("SELECT pg_reload_conf(), pg_sleep(0.2)")
        yield users
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def users() -> Iterator[Users]:
    programs = binaries.newest()
    assert programs is not None
    with started(programs) as there:
        yield there


@pytest.fixture
def older() -> Iterator[Users]:
    newest = binaries.newest()
    found = [b for b in binaries.every() if newest and b.major < newest.major]
    if not found:
        pytest.skip("there are no programs of a PostgreSQL that is older than the shadow's")
    with started(max(found, key=lambda b: b.major)) as there:
        yield there


@pytest.fixture(autouse=True)
def nothing_is_left(users: Users, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test meets the server anew, and leaves it as it was."""
    monkeypatch.setattr(host, "_opened", {})
    before = users.everything()
    yield
    assert users.everything() == before


@pytest.fixture
def no_private_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    def refuse() -> None:
        raise AssertionError("the private server was asked for")

    with monkeypatch.context() as patch:
        yield lambda: patch.setattr(server, "running", refuse)


# --- it serves ----------------------------------------------------------------------------------


def test_replay_and_rehearsal_end_to_end(
    users: Users,
    sample: Sample,
    capfd: Capture,
    no_private_server: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path / "cache"))
    box = sample(PARTLY, "postgresql")
    no_private_server()
    words = ("--shadow-url", users.url(), "--format", "json", *box.args)
    ran = migdoctor(capfd, "fix", "--apply", *words)
    assert ran.code == 0, ran.out
    assert ran.document["plan"]["steps"]
    assert ran.document["rehearsal"]["how"] == "schema-copy"
    assert ran.document["rehearsal"]["passed"]
    assert "MD503" in ran.document["verdict"]["cured"]
    assert SECRET not in ran.out + ran.err
    assert users.ours() == []


def timeline_of(box: Box, shadow: str | None) -> Timeline:
    with open_target(Request(cwd=box.folder, shadow_url=shadow), quick=False) as target:
        return observe(target).timeline


def test_a_role_that_may_only_make_databases_sees_the_same(
    users: Users, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event triggers, hence whole snapshots; and every shadow has a cache of its own."""
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path / "cache"))
    box = sample(PARTLY, "postgresql")
    private = timeline_of(box, None)
    for number, role in enumerate(("mighty", "maker"), 2):
        assert timeline_of(box, users.url(role)) == private
        assert len(list((tmp_path / "cache").iterdir())) == number
    assert timeline_of(box, users.url("maker")) == private
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_on_the_very_server_and_database_that_is_looked_at(
    sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path / "cache"))
    box = sample(PARTLY, "postgresql")
    before = dump(box)
    ran = migdoctor(capfd, "fix", "--shadow-url", box.url, "--format", "json", *box.args)
    assert ran.document["rehearsal"]["passed"]
    assert ran.document["rehearsal"]["how"] == "schema-copy"
    assert dump(box) == before
    with driver(server.running().admin_url) as admin:
        names = [n for (n,) in admin.execute("SELECT datname FROM pg_database")]
    assert not [n for n in names if n.startswith("migdoctor")]


# --- what is not ours is not touched ------------------------------------------------------------


REVISION = '''\
import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = "ccc3"


def upgrade():
    op.execute("CREATE ROLE made_by_a_revision; DROP ROLE bare")
    op.execute("-- settings\\nALTER DATABASE postgres SET search_path = nowhere")
    op.execute("GRANT CONNECT ON DATABASE postgres TO maker")
    op.execute("GRANT mighty TO maker")
    op.execute("""DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app')
        THEN CREATE ROLE app; END IF; END $$""")
    op.add_column("users", sa.Column("phone", sa.String(40)))


def downgrade():
    op.execute("DROP ROLE maker")
    op.drop_column("users", "phone")
'''


def test_roles_and_other_databases_are_not_changed(users: Users, sample: Sample) -> None:
    box = sample("healthy", "postgresql")
    path = next(box.folder.glob("**/versions")) / "ddd4.py"
    path.write_text(REVISION)
    with driver(box.owner_url) as live:
        live.execute("CREATE ROLE only_on_live")
        try:
            seen = timeline_of(box, users.url("mighty"))
        finally:
            live.execute("DROP ROLE only_on_live")
    assert seen.failed is None
    assert [" ".join(unit.sql.split()) for unit in seen.units["ddd4"]] == [
        "ALTER TABLE users ADD COLUMN phone VARCHAR(40)"
    ]
    mixed = REVISION.replace("; DROP ROLE bare", "; CREATE TABLE t ()")
    path.write_text(mixed)
    seen = timeline_of(box, users.url("mighty"))
    assert seen.failed is not None
    assert seen.failed[0] == "ddd4"
    assert "whole server" in seen.failed[1]


def test_a_plan_that_changes_more_than_the_copy_is_not_rehearsed(sample: Sample) -> None:
    box = sample("healthy", "sqlite")
    request = Request(cwd=box.folder, shadow_url="postgresql://me@127.0.0.1:1/")
    with open_target(request, quick=True) as target:
        for text in ("create user x", "GRANT a, b TO c", "SELECT 1; ALTER SYSTEM SET a = 1"):
            step = Sql(run=text, undo=None, touches="t")
            with pytest.raises(NotObserved, match="whole server"):
                rehearse._run((step,), target)
    for text in ("CREATE USER MAPPING FOR x SERVER y", "GRANT SELECT ON t TO x", "DROP TABLE role"):
        assert not host.reaches_beyond(text)


def test_a_role_that_a_policy_names_is_asked_for(
    users: Users, sample: Sample, capfd: Capture
) -> None:
    box = sample("healthy", "postgresql")
    with driver(box.owner_url) as live:
        live.execute("CREATE ROLE tenant; CREATE POLICY p ON users TO tenant")
        try:
            with (
                open_reading(address_of(box.url)) as session,
                pytest.raises(NotObserved, match=r"does not have \(tenant\); make them there"),
                copies.copy_of(session, (), users.address()),
            ):
                pass
        finally:
            live.execute("DROP OWNED BY tenant; DROP ROLE tenant")


def test_a_copy_is_restored_into_an_empty_database_only(users: Users) -> None:
    there = host.of(users.address())
    with there.database("copy") as address:
        with open_writing(address) as session:
            session.run("CREATE TABLE somebodys ()")
        programs = there.programs(there.version)
        with pytest.raises(NotObserved, match="not the empty database"):
            copies._restore(programs, there, address, "CREATE TABLE t ();", ())
        with open_reading(address) as session:
            assert session.query("SELECT to_regclass('public.t')") == [(None,)]


# --- killed runs --------------------------------------------------------------------------------

SLOW = """\
import pathlib, time

revision = "ddd4"
down_revision = "ccc3"


def upgrade():
    pathlib.Path("running").touch()
    time.sleep(3)
"""


@contextlib.contextmanager
def in_the_middle(box: Box, users: Users) -> Iterator["subprocess.Popen[bytes]"]:
    """A run of the program that is replaying a slow revision."""
    (next(box.folder.glob("**/versions")) / "ddd4.py").write_text(SLOW)
    (box.folder / "running").unlink(missing_ok=True)
    code = (
        "import signal, sys; from migdoctor import cli\n"
        # A runner in the background hands SIGINT down as ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    words = ["diagnose", "--shadow-url", users.url(), *box.args]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=box.folder, env=os.environ | box.env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as running:  # fmt: skip
        wait_until((box.folder / "running").exists)
        yield running


def wait_until(true: Callable[[], object]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_what_is_ended_leaves_nothing(users: Users, sample: Sample) -> None:
    box = sample("healthy", "postgresql")
    for sent in (signal.SIGTERM, signal.SIGINT):
        with in_the_middle(box, users) as running:
            assert len(users.ours()) == 1
            running.send_signal(sent)
            said, _ = running.communicate(timeout=30)
        assert running.returncode == 130, said
        assert users.ours() == []


def test_what_is_killed_is_removed_by_the_next_run(
    users: Users, sample: Sample, capfd: Capture, tmp_path: Path
) -> None:
    box = sample("healthy", "postgresql")
    with in_the_middle(box, users) as running:
        (name,) = users.ours()
        host._open(users.address())  # another run, while this one is at work
        assert users.ours() == [name]
        running.kill()
    sessions = f"SELECT FROM pg_stat_activity WHERE datname = '{name}'"
    wait_until(lambda: users.run(sessions) == [])
    assert users.ours() == [name]
    (next(box.folder.glob("**/versions")) / "ddd4.py").unlink()
    ran = migdoctor(capfd, "diagnose", "--shadow-url", users.url(), *box.args)
    assert ran.code == 0, ran.out + ran.err
    assert users.ours() == []


def test_only_what_is_proven_to_be_ours_and_held_by_nobody_is_removed(users: Users) -> None:
    def database(name: str, limit: int, owner: str = "maker") -> str:
        users.run(f'CREATE DATABASE "{name}" OWNER {owner} CONNECTION LIMIT {limit}')
        return name

    def name(number: int) -> str:
        return f"migdoctor_replay_{number:016x}"

    # Killed before it had a comment; before it was held; with an unfinished DROP.
    left = [database(name(1), host._sign(name(1)))]
    left += [database(name(2), host._sign(name(2)))]
    users.run(f"COMMENT ON DATABASE {name(2)} IS '{host._COMMENT}'")
    left += [database(name(3), 1)]
    users.run(f"COMMENT ON DATABASE {name(3)} IS '{host._COMMENT}'")
    users.run(f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{name(3)}'")

    theirs = [
        database(name(4), -1),  # only the name
        database(name(5), host._sign(name(4))),  # renamed
        database(name(6), host._sign(name(6))),  # taken over
        database(name(7), host._sign(name(7)), "mighty"),
        database("migdoctor_replay_notes", host._sign("migdoctor_replay_notes")),
        database(name(8), host._sign(name(8))),  # held by its maker
        database(name(9), host._sign(name(9))),  # somebody looks into it
    ]
    users.run(f"COMMENT ON DATABASE {name(6)} IS 'kept for the post-mortem'")
    try:
        assert set(left) < set(users.ours())
        with (
            psycopg.connect(users.url("maker"), autocommit=True) as maker,
            psycopg.connect(users.url("maker", name(9))),
        ):
            maker.execute(f"SELECT pg_advisory_lock({host._sign(name(8))})")
            host.of(users.address())
            assert users.ours() == sorted(theirs)
    finally:
        for database_name in users.ours():
            users.run(f'DROP DATABASE "{database_name}" WITH (FORCE)')


# --- refusals -----------------------------------------------------------------------------------


def refused(capfd: Capture, box: Box, url: str, command: str = "diagnose") -> str:
    """The error of a run that ends with 2 and has no secret in it."""
    ran = migdoctor(
        capfd, command, "--url", box.url, "--quick", "--shadow-url", url, "--format", "json",
        *box.args,
    )  # fmt: skip
    assert ran.code == 2, ran.out
    assert SECRET not in ran.out + ran.err
    assert ran.document["error"]["help"]
    return str(ran.document["error"]["message"])


def test_servers_that_cannot_serve_are_refused(
    users: Users, sample: Sample, capfd: Capture
) -> None:
    box = sample("healthy", "postgresql")
    before = dump(box)
    users.run(f"CREATE ROLE reader LOGIN CREATEDB PASSWORD '{SECRET}'")
    users.run("ALTER ROLE reader SET default_transaction_read_only = on")
    try:
        cases = {
            f"mysql://me:{SECRET}@host/app": "another engine: mysql",
            f"sqlite:////tmp/{SECRET}": "another engine: sqlite",
            f"me:{SECRET}@host": "cannot be understood",
            users.url("bare"): "The role bare may not create databases",
            users.url("reader"): "read-only",
            users.url("maker", "nowhere"): 'database "nowhere" does not exist',
            users.url("maker").replace(":hunter2", ":wrong"): "password authentication failed",
            f"postgresql://me:{SECRET}@127.0.0.1:1": "refused",
        }
        for url, words in cases.items():
            assert words in refused(capfd, box, url)
    finally:
        users.run("DROP ROLE reader")
    assert dump(box) == before


def test_an_older_server_is_refused(older: Users, sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "postgresql")
    for command in ("diagnose", "fix"):
        assert "older than the database" in refused(capfd, box, older.url(), command)


def test_without_client_programs_there_is_no_copy_and_it_is_said(
    users: Users, sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample(PARTLY, "postgresql")
    monkeypatch.setattr(binaries, "_candidates", lambda: [])
    ran = migdoctor(capfd, "fix", "--shadow-url", users.url(), "--format", "json", *box.args)
    assert ran.codes == ["MD503", "MD506"]
    assert ran.document["rehearsal"]["how"] == "none"
    assert "migdoctor[shadow]" in ran.document["rehearsal"]["why"]


def test_a_dump_by_newer_programs_is_restored_on_an_older_server(
    older: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = binaries.newest()
    assert newest is not None
    with open_reading(older.address("mighty")) as session:
        major = session.server_version // 10000
        assert binaries.clients(major, major) != newest
        monkeypatch.setattr(binaries, "_candidates", lambda: [(newest.folder, newest.wheel)])
        with copies.copy_of(session, (), older.address()) as (address, how):
            assert how == "schema-copy"
            with open_reading(address) as copy:
                assert copy.server_version // 10000 == major
    assert older.ours() == []


def test_for_sqlite_the_server_is_not_even_asked(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    words = ("--shadow-url", "postgresql://me:x@127.0.0.1:1/", "--quick", *box.args)
    assert migdoctor(capfd, "diagnose", *words).code == 0
