"""Connections that lead nowhere."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any, Generator, Iterator


class Null:
    """A DBAPI connection or cursor that accepts everything and answers nothing."""

    rowcount = -1
    lastrowid = None
    arraysize = 1
    closed = False
    autocommit = False
    search_path = None

    def __init__(self, dialect: Any = None, connection: Any = None) -> None:
        self.description: Any = None
        self.notices: list[Any] = []
        self._dialect = dialect
        self.connection = connection or self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **_kw: Any) -> Null:
        for value in args:
            if inspect.iscoroutine(value):
                value.close()  # a driver's own coroutine; left alone it would warn
        return self

    def cursor(self, *_args: Any, **_kw: Any) -> Null:
        return Null(self._dialect, self.connection)

    def execute(self, statement: str, *_args: Any, **_kw: Any) -> Null:
        text = str(statement).lstrip().lower()
        reads = re.match(r"\(|select|show|with|pragma|values|explain|table|describe", text)
        self.description = [("x", None, None, None, None, None, None)] if reads else None
        if re.match(r"set\s+(local\s+|session\s+)?search_path", text):
            self.connection.search_path = str(statement).strip()
        if getattr(self._dialect, "is_async", False):
            _switch_once()
        return self

    executemany = execute

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[Any]:
        return []

    def fetchmany(self, _size: Any = None) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __enter__(self) -> Null:
        return self

    def __exit__(self, *_error: Any) -> None:
        return None

    def __await__(self) -> Generator[Any, Any, Null]:
        yield from ()
        return self


def _switch_once() -> None:
    """SQLAlchemy refuses an async call in which nothing was awaited (AwaitRequired)."""
    from sqlalchemy.util import await_only

    waiting = asyncio.sleep(0)
    try:
        await_only(waiting)
    except Exception:
        waiting.close()
