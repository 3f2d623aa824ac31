"""Who else is at work on this database: sessions and locks (PostgreSQL), processes (SQLite).

Incidents 57-63. One snapshot of pg_stat_activity and pg_locks; every role may read both, others'
queries only with pg_read_all_stats. On SQLite the locks are those of the file itself.
"""

import re
from typing import Any

from migdoctor.address import Address
from migdoctor.connect import Session as Connection
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Activity, Session
from migdoctor.observe import sqlite_locks
from migdoctor.observe.version_table import IS_VERSION_TABLE

GUARD_KEY = 0x6D6967646F63  # the advisory lock of `fix --apply`; the same number as there

# Modes that conflict with reading or writing, as DDL takes them (manual, section 13.3).
_DDL_MODES = {
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
}
_DDL_TEXT = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*(ALTER|CREATE|DROP|REINDEX)\b", re.I | re.S
)

# pg_blocking_pids takes the lock manager's locks, so it is called for waiting sessions only.
_SESSIONS = f"""
WITH locks AS MATERIALIZED (
  SELECT l.pid, l.locktype, l.mode, l.granted, l.relation, l.classid, l.objid, l.objsubid
  FROM pg_catalog.pg_locks l
  WHERE l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
), named AS (
  SELECT l.pid, l.mode, l.granted, coalesce(n.nspname, '') AS nspname,
         coalesce(c.relname, '') AS relname, coalesce(c.relkind::text, '') AS relkind,
         {IS_VERSION_TABLE} AS versions
  FROM locks l
  LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE l.locktype = 'relation' AND l.relation >= 16384 AND l.pid <> pg_catalog.pg_backend_pid()
)
SELECT a.pid, a.application_name, a.usename::text, host(a.client_addr), a.state, a.query,
       extract(epoch FROM pg_catalog.clock_timestamp()
               - coalesce(a.xact_start, a.state_change))::float8,
       a.backend_type,
       CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks w WHERE w.pid = a.pid AND NOT w.granted)
            THEN pg_catalog.pg_blocking_pids(a.pid) ELSE ARRAY[]::int4[] END,
       ARRAY(SELECT ARRAY[n.mode, n.granted::text, n.nspname, n.relname, n.relkind,
                          n.versions::text]
             FROM named n WHERE n.pid = a.pid ORDER BY n.nspname, n.relname, n.mode),
       EXISTS (SELECT FROM locks g WHERE g.pid = a.pid AND g.locktype = 'advisory' AND g.granted
               AND g.classid::int8 = {GUARD_KEY >> 32} AND g.objid::int8 = {GUARD_KEY & 0xFFFFFFFF}
               AND g.objsubid = 1)
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND coalesce(a.backend_type, '') <> 'parallel worker'
ORDER BY a.pid"""


def probe(address: Address) -> Activity:
    """Who holds a SQLite file locked; read before the file is opened, and nothing is written.

    On PostgreSQL there is nothing to probe: the answer is empty.
    """
    return sqlite_locks.probe(address.path) if address.path else Activity()


def read(session: Connection) -> Activity:
    """The other sessions of this database. Raises NotApplicable on SQLite (see `probe`)."""
    if session.dialect == "sqlite":
        raise NotApplicable("activity", "SQLite is probed before the file is opened")
    try:
        rows = session.query(_SESSIONS)
    except NotObserved as error:
        raise NotObserved("activity", error.why) from None
    exclusive: dict[str, int] = {}
    for row in rows:
        for lock in map(_Lock, row[9]):
            # A session that waits for the lock blocks later readers as well; holders go first.
            if lock.shuts and (lock.granted or lock.relation not in exclusive):
                exclusive[lock.relation] = row[0]
    return Activity(sessions=tuple(map(_session, rows)), exclusive=exclusive)


class _Lock:
    """One relation lock of a session, from the six texts of the query."""

    def __init__(self, given: list[str]) -> None:
        self.mode, granted, schema, table, self.kind, versions = given
        self.granted = granted == "true"
        self.versions = versions == "true"
        self.temporary = schema.startswith("pg_")
        # '' where the relation is not visible to us: made in a transaction still open
        self.relation = f"{schema}.{table}" if table else ""
        self.shuts = self.mode == "AccessExclusiveLock" and bool(table) and self.kind in "rpvmf"
        self.ddl = self.mode in _DDL_MODES and not self.temporary
        self.writes = self.mode == "RowExclusiveLock" and not self.temporary

    def __str__(self) -> str:
        verb = "" if self.granted else "waits for "
        mode = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.mode.removesuffix("Lock")).upper()
        return f"{verb}{mode} on {self.relation or 'a relation of its own transaction'}"


def _session(row: tuple[Any, ...]) -> Session:
    pid, application, user, client, state, query, seconds, kind, blocked_by, locks, guard = row
    held = [_Lock(lock) for lock in locks]
    background = kind not in (None, "client backend")
    return Session(
        pid=pid,
        application=application or (kind if background else ""),
        user=user or "",
        client=client or "local",
        state=state or "unknown",
        query=query or "",
        seconds=seconds,
        blocked_by=tuple(sorted(set(blocked_by))),
        holds=tuple(dict.fromkeys(str(lock) for lock in held if lock.kind not in ("i", "t", "S"))),
        migrating=None if background else _migrating(held, query or "", guard),
    )


def _migrating(locks: list[_Lock], query: str, guard: bool) -> str | None:
    """Why a session is taken for a migration; a mere reader of the version table is none."""
    if guard:
        return "it holds the guard lock of migdoctor"
    table = next((lock for lock in locks if lock.versions), None)
    change = next((lock for lock in locks if lock.ddl or lock.writes), None)
    if table and change:
        return f"it has the version table {table.relation} in its transaction, and {change}"
    wanted = next((lock for lock in locks if lock.ddl and lock.relation), None)
    if wanted and (text := _DDL_TEXT.match(query)):
        return f"it runs {text[1].upper()} and {wanted}"
    return None
