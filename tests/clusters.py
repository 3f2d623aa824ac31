"""Real servers in unusual roles: a streaming standby, TLS only, and PgBouncer before a server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor.samples import run_sql
from migdoctor.shadow import binaries, server
from tests.running import LIVE, live_server

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


def url_of(folder: Path, database: str = "postgres", port: int = 5432) -> str:
    """The URL of a database of the server whose socket is in this folder."""
    return f"postgresql+psycopg://postgres@/{database}?host={folder}&port={port}"


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
    done = tried(server.running().bin(name), *words)
    assert done.returncode == 0, done.stderr


def tried(program: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a program without root's rights to its end, whatever that is."""
    return subprocess.run([str(program), *words], capture_output=True, text=True, **as_account())


@contextmanager
def serving(
    here: Path, data: str, *settings: str, program: Path | None = None, port: int = 5432
) -> Iterator[None]:
    """A server on a data directory, its socket beside it."""
    given = ("listen_addresses=", f"port={port}", "fsync=off", "shared_buffers=16MB", *settings)
    command = [
        str(program or server.running().bin("postgres")), "-D", str(here / data), "-k", str(here),
        *(word for setting in given for word in ("-c", setting)),
    ]  # fmt: skip
    with (here / f"{data}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **as_account())
    try:
        answering(url_of(here, port=port))
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


@dataclass(frozen=True)
class Guarded:
    """A server that takes nothing but TLS and passwords from the network.

    `url` leads to it as role app, without the password; `owner_url` by its socket, as superuser.
    `certificate` is what a client needs to believe it, `another` is somebody else's.
    """

    url: str
    owner_url: str
    certificate: Path
    another: Path

    def with_password(self, password: str, **query: str) -> str:
        """The URL with a password, and more parameters."""
        url = make_url(self.url).set(password=password).update_query_dict(query)
        return url.render_as_string(hide_password=False)


@contextmanager
def guarded(password: str) -> Iterator[Guarded]:
    """A server behind TLS; skips where no server here was built with it, or openssl is missing."""
    with folder() as here:
        programs = _with_tls(here)
        certificate, key = _certified(here / "server")
        another, _ = _certified(here / "another")
        rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        (here / "data" / "pg_hba.conf").write_text(rules)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = (
            "listen_addresses=127.0.0.1", "ssl=on", f"ssl_cert_file={certificate}",
            f"ssl_key_file={key}", "password_encryption=scram-sha-256",
        )  # fmt: skip
        with serving(here, "data", *settings, program=programs / "postgres", port=port):
            owner = url_of(here, port=port)
            quoted = password.replace("'", "''")
            run_sql(owner, f"CREATE ROLE app LOGIN PASSWORD '{quoted}'")
            run_sql(owner, "CREATE DATABASE app OWNER app")
            run_sql(url_of(here, "app", port), "ALTER SCHEMA public OWNER TO app")
            url = f"postgresql+psycopg://app@localhost:{port}/app"
            yield Guarded(url, url_of(here, "app", port), certificate, another)


def _certified(name: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = name.with_suffix(".crt"), name.with_suffix(".key")
    made = tried(
        Path(openssl), "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return certificate, key


def _with_tls(here: Path) -> Path:
    """The programs of a server that knows TLS, its data directory made in `here`."""
    here_too = (b for b in binaries.every() if binaries.runs_in_place(b, binaries.account()))
    known = sorted((b for b in here_too if not b.wheel), key=lambda b: -b.major)
    named = [live_server().programs] if LIVE else []
    for folder in dict.fromkeys(b.folder for b in (*named, *known)):
        data = str(here / "data")
        done = tried(folder / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync",
                     "--encoding=UTF8", "--no-locale")  # fmt: skip
        assert done.returncode == 0, done.stderr
        if tried(folder / "postgres", "-D", data, "-c", "ssl=on", "-C", "ssl").returncode == 0:
            return folder
        shutil.rmtree(data)
    pytest.skip("no server here was built with TLS")
