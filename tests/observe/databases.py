"""Helpers for tests on real databases: connections, and others who hold locks."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url


def driver(url: str, **more: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    """A plain driver connection, in autocommit; to be used with `with`."""
    parsed = make_url(url)
    return psycopg.connect(
        host=str(parsed.query["host"]), port=5432, user=parsed.username or "postgres",
        dbname=parsed.database, autocommit=True, options="-c statement_timeout=20s", **more,
    )  # fmt: skip


def needs_extension(url: str, name: str) -> None:
    """Skip the test where the server of this database does not have an extension."""
    with driver(url) as connection:
        known = connection.execute(
            "SELECT FROM pg_available_extensions WHERE name = %s", (name,)
        ).fetchall()
    if not known:
        pytest.skip(f"this server has no extension {name}")


@contextlib.contextmanager
def in_background(work: Callable[[], object]) -> Iterator[None]:
    """Something that waits meanwhile; its own failure (a cancelled wait) is no matter."""

    def quietly() -> None:
        with contextlib.suppress(psycopg.Error):
            work()

    thread = threading.Thread(target=quietly)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)


def wait_for_lock(url: str) -> None:
    """Return when some session of this database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM"
        " pg_database WHERE datname = current_database())"
    )
    with driver(url) as connection:
        for _ in range(200):
            if connection.execute(waiting).fetchall() != [(0,)]:
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")


def script(path: Path, sql: str) -> None:
    """Run a script on a SQLite file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)


@contextlib.contextmanager
def writer(
    path: Path, *statements: str, program: Path | None = None
) -> "Iterator[subprocess.Popen[str]]":
    """Another process that has run `statements` on a SQLite file and keeps its transaction open.

    `program` is where its script is to be put, for tests that look at the command line.
    """
    code = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for s in sys.argv[2:]: c.execute(s).fetchall()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = ["-c", code]
    if program is not None:
        program.write_text(code)
        command = [str(program)]
    with subprocess.Popen(
        [sys.executable, *command, str(path), *statements],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
