"""What this process is doing, and how it stops."""

from __future__ import annotations

import json
import os
import re
import weakref
from pathlib import Path
from typing import Any, ClassVar

DRIVERS = ("psycopg2", "psycopg", "sqlite3", "asyncpg", "aiosqlite", "pymysql", "MySQLdb", "pg8000")
OWN_TABLES = ("_alembic_tmp_", "_migdoctor_q_")
WRITES = re.compile(
    r"\s*(create|alter|drop|insert|update|delete|truncate|grant|revoke|comment|merge|replace|vacuum"
    r"|reindex|refresh|lock|do|call|copy|set\b.*(read\s+write|read_only))\b|.*set_config\(.*read_only",
    re.IGNORECASE | re.DOTALL,
)


class Stop(BaseException):
    """Leaves env.py when the answer is known; no Exception, so env.py will hardly swallow it."""


class Failure(Exception):
    """A failure with a kind: environment, no-models, no-context, stale, not-ours."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class State:
    """What this process is doing now: where connections lead and what `configure()` is for."""

    target: Any = None  # (url, connect_args, read_only) while redirected
    hook: Any = None  # called with the EnvironmentContext after each configure()
    in_creator: Any = None  # the dialect whose creator= runs now
    handed_out = False  # a Null was handed out
    run: Any = None  # what run_migrations() does during a replay
    opening = False  # a driver is called for the agent now
    on_opening: Any = None  # called before that
    pragmas: tuple[str, ...] = ()  # what a SQLite shadow is set to
    isolated: Any = None  # the thread without a network
    kept: Any = None  # what has to last as long as the process
    say: Any = staticmethod(lambda _value: None)  # tells the doctor something before the answer

    pools: ClassVar[Any] = weakref.WeakSet()


def leave_with(answer: Any, answer_file: Any) -> None:
    """Write the answer; nothing of the program runs after this, no migration, no exit handler."""
    part = Path(answer_file + ".part")
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.replace(answer_file)
    os._exit(0)
