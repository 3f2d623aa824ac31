"""Keeps a replay away from everything but the doctor's shadow."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .connections import query, verify
from .state import Failure, State


class Guard:
    """While a replay runs, drivers open the shadow for the agent and nothing for anybody else."""

    installed = False
    on = False
    strict = False  # revisions run: no network at all


@contextmanager
def only_shadow() -> Iterator[None]:
    """Close the drivers' own entrances; drivers that somebody might import later, too."""
    if not Guard.installed:
        sys.addaudithook(lambda event, args: refuse(event, args))
        Guard.installed = True
    closed: list[Any] = []
    Guard.on, Guard.strict = True, False
    for name in ("psycopg2", "psycopg", "asyncpg"):
        with suppress(Exception):
            importlib.import_module(name)
    State.on_opening = lambda: close_doors(closed)
    close_doors(closed)
    try:
        yield
    finally:
        Guard.on = False
        State.on_opening = None
        for owner, name, real in closed:
            setattr(owner, name, real)


def close_doors(closed: list[Any]) -> None:
    """libpq raises no audit event: its drivers' innermost entrances open for the agent only."""
    found = []
    if "psycopg2" in sys.modules:
        found.append((sys.modules["psycopg2"], "_connect"))
    if "psycopg" in sys.modules:
        module = sys.modules["psycopg"]
        found += [(module.Connection, "_get_connection_params")]
        found += [(module.AsyncConnection, "_get_connection_params")]
    if "asyncpg.connect_utils" in sys.modules:
        found.append((sys.modules["asyncpg.connect_utils"], "_connect"))
    for owner, name in found:
        real = vars(owner).get(name)
        if real is None or any(entry[:2] == (owner, name) for entry in closed):
            continue
        closed.append((owner, name, real))
        setattr(owner, name, door(real))


def door(real: Any) -> Any:
    inner = getattr(real, "__func__", real)

    def through(*args: Any, **kw: Any) -> Any:
        if not State.opening:
            raise PermissionError("a connection past SQLAlchemy is refused during a replay")
        return inner(*args, **kw)

    return classmethod(through) if isinstance(real, classmethod) else through


def refuse(event: str, args: Any) -> None:
    """Audit hook: SQLite files and sockets that are not the shadow's."""
    if not Guard.on:
        return
    if event == "sqlite3.connect" and not State.opening:
        name = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
        if name not in (":memory:", ""):
            raise PermissionError("a SQLite file past SQLAlchemy is refused during a replay")
    if event == "socket.connect" and not State.opening:
        local = isinstance(args[1], (str, bytes))
        if ".s.PGSQL." in os.fsdecode(args[1]) if local else Guard.strict:
            raise PermissionError("a connection past SQLAlchemy is refused during a replay")


def verify_marker(connection: Any, question: Any) -> None:
    """Stop unless this very connection leads to the database that the doctor marked."""
    verify(connection, question)
    try:
        rows = query(connection, question["marker_query"])
    except Exception as error:
        raise Failure("not-ours", f"the shadow's marker cannot be read: {error}") from None
    if [str(row[0]) for row in rows] != [str(question["marker"])]:
        raise Failure("not-ours", "the connection does not lead to the shadow")
