"""Real servers in unusual roles: a streaming standby, and PgBouncer before a server."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor.samples import run_sql
from migdoctor.shadow import binaries, server

BOUNCER = """
[databases]
* = host={server} port=5432 user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 2
logfile = {folder}/log
pidfile = {folder}/pid
"""


def url_of(folder: Path, database: str = "postgres") -> str:
    """The URL of a database of the server whose socket is in this folder."""
    return f"postgresql+psycopg://postgres@/{database}?host={folder}&port=5432"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder with a short name that belongs to the account of the servers."""
    made = Path(tempfile.mkdtemp(prefix="md-", dir="/tmp"))
    if who := binaries.account():
        os.chown(made, who.uid, who.gid)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def as_account() -> dict[str, Any]:
    """Arguments of subprocess that run a program without root's rights."""
    who = binaries.account()
    user = {} if who is None else {"user": who.uid, "group": who.gid, "extra_groups": []}
    return {"env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, "cwd": "/", **user}


def ran(name: str, *words: str) -> None:
    """Run one of the server's programs to its end."""
    program = str(server.running().bin(name))
    done = subprocess.run([program, *words], capture_output=True, text=True, **as_account())
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(here: Path, data: str) -> Iterator[None]:
    """A server on a data directory, its socket beside it."""
    command = [
        str(server.running().bin("postgres")), "-D", str(here / data), "-k", str(here),
        "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB",
    ]  # fmt: skip
    with (here / f"{data}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **as_account())
    try:
        answering(url_of(here))
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def answering(url: str) -> None:
    """Wait until a server takes connections."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(False)
    for _ in range(200):
        with suppress(psycopg.OperationalError), closing(psycopg.connect(plain)):
            return
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


@contextmanager
def replicated() -> Iterator[tuple[str, str]]:
    """The URLs of a primary and of its streaming standby, both with a server's own settings."""
    with folder() as first, folder() as second:
        ran("initdb", "-D", str(first / "data"), "-U", "postgres", "--auth=trust", "--no-sync",
            "--encoding=UTF8", "--no-locale")  # fmt: skip
        with serving(first, "data"):
            ran("pg_basebackup", "-D", str(second / "data"), "-R", "-X", "stream", "-h",
                str(first), "-U", "postgres", "--checkpoint=fast", "--no-sync")  # fmt: skip
            with serving(second, "data"):
                yield url_of(first), url_of(second)


def caught_up(primary: str, standby: str) -> None:
    """Wait until the standby has replayed what the primary has written so far."""
    ((place,),) = run_sql(primary, "SELECT pg_current_wal_lsn()")
    for _ in range(200):
        if run_sql(standby, f"SELECT pg_last_wal_replay_lsn() >= '{place}'") == [(True,)]:
            return
        time.sleep(0.05)
    raise AssertionError("the standby does not follow")


@contextmanager
def bouncer(url: str) -> Iterator[str]:
    """The URL of the same database through PgBouncer in transaction mode; skips without one."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    given = make_url(url)
    with folder() as here:
        ini = here / "pgbouncer.ini"
        ini.write_text(BOUNCER.format(server=given.query["host"], folder=here))
        process = subprocess.Popen(
            [program, "-q", str(ini)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_account(),
        )  # fmt: skip
        through = given.update_query_dict({"host": str(here), "port": "6432"})
        try:
            answering(through.render_as_string(hide_password=False))
            yield through.render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait(10)
