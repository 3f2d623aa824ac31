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

# pg_blocking_pids takes the lock manager's locks, so it is called for waiting sessions only. The
# wait for somebody's transaction (CREATE INDEX CONCURRENTLY) names no database. `shut`: what cannot
# be read past an ACCESS EXCLUSIVE lock. A query opens the indexes of its tables, their partitions
# and children, so that the table of a locked index and the parents of a table are among them.
_SESSIONS = f"""
WITH RECURSIVE here AS MATERIALIZED (
  SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
), snapshot AS MATERIALIZED (
  SELECT l.pid, l.locktype, l.mode, l.granted, l.database, l.relation, l.classid, l.objid,
         l.objsubid, {{waitstart}} AS waitstart
  FROM pg_catalog.pg_locks l WHERE l.pid <> pg_catalog.pg_backend_pid()
), locks AS MATERIALIZED (
  SELECT * FROM snapshot WHERE database = (SELECT oid FROM here)
), waiting AS MATERIALIZED (
  SELECT DISTINCT ON (w.pid) w.*, n.nspname, c.relname FROM snapshot w
  LEFT JOIN pg_catalog.pg_class c ON c.oid = w.relation AND w.database = (SELECT oid FROM here)
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT w.granted ORDER BY w.pid
), named AS (
  SELECT l.pid, l.mode, l.granted, coalesce(n.nspname, '') AS nspname,
         coalesce(c.relname, '') AS relname, coalesce(c.relkind::text, '') AS relkind,
         {IS_VERSION_TABLE} AS versions
  FROM locks l
  LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE l.locktype = 'relation' AND l.relation >= 16384
), shut AS (
  SELECT l.pid, l.granted, coalesce(x.indrelid, l.relation) AS oid
  FROM locks l LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = l.relation
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation >= 16384
  UNION
  SELECT s.pid, s.granted, i.inhparent FROM shut s
  JOIN pg_catalog.pg_inherits i ON i.inhrelid = s.oid
), advisory AS (
  SELECT l.pid, l.classid::int8 AS high, l.objid::int8 AS low, l.objsubid AS form FROM locks l
  WHERE l.locktype = 'advisory' AND l.granted
)
SELECT a.pid, a.application_name, a.usename::text, host(a.client_addr), a.state, a.query,
       extract(epoch FROM pg_catalog.clock_timestamp()
               - coalesce(a.xact_start, a.state_change))::float8,
       a.backend_type,
       CASE WHEN w.pid IS NULL THEN ARRAY[]::int4[] ELSE pg_catalog.pg_blocking_pids(a.pid) END,
       ARRAY(SELECT ARRAY[n.mode, n.granted::text, n.nspname, n.relname, n.relkind,
                          n.versions::text]
             FROM named n WHERE n.pid = a.pid ORDER BY n.nspname, n.relname, n.mode),
       pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00',
       ARRAY[w.locktype, w.mode, w.nspname::text, w.relname::text, w.classid::text, w.objid::text,
             w.objsubid::text],
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(w.waitstart, a.query_start))
         ::float8,
       ARRAY(SELECT ARRAY[v.high, v.low, v.form] FROM advisory v WHERE v.pid = a.pid ORDER BY 1),
       (SELECT ARRAY[p.command, coalesce(i.relname::text, ''), coalesce(t.relname::text, ''),
                     p.phase, p.blocks_done::text, p.blocks_total::text, p.tuples_done::text,
                     p.tuples_total::text, p.current_locker_pid::text]
        FROM pg_catalog.pg_stat_progress_create_index p
        LEFT JOIN pg_catalog.pg_class i ON i.oid = p.index_relid
        LEFT JOIN pg_catalog.pg_class t ON t.oid = p.relid WHERE p.pid = a.pid),
       (SELECT own.rolsuper FROM pg_catalog.pg_roles own WHERE own.rolname = current_user)
         OR (NOT coalesce(r.rolsuper, true) AND (pg_catalog.pg_has_role(a.usesysid, 'MEMBER')
             OR pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER'))),
       ARRAY(SELECT ARRAY[n.nspname || '.' || c.relname, s.granted::text] FROM shut s
             JOIN pg_catalog.pg_class c ON c.oid = s.oid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE s.pid = a.pid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY 1)
FROM pg_catalog.pg_stat_activity a
LEFT JOIN waiting w ON w.pid = a.pid
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
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
        # pg_locks.waitstart is new in 14.
        waitstart = "l.waitstart" if session.server_version >= 140000 else "NULL::timestamptz"
        rows = session.query(_SESSIONS.replace("{waitstart}", waitstart))
    except NotObserved as error:
        raise NotObserved("activity", error.why) from None
    exclusive: dict[str, int] = {}
    for row in rows:
        for relation, granted in row[-1]:
            # A session that waits for the lock blocks later readers as well; holders go first.
            if granted == "true" or relation not in exclusive:
                exclusive[relation] = row[0]
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
        self.ddl = self.mode in _DDL_MODES and not self.temporary
        self.writes = self.mode == "RowExclusiveLock" and not self.temporary

    def __str__(self) -> str:
        verb = "" if self.granted else "waits for "
        return f"{verb}{_mode(self.mode)} on {self.relation or 'a relation of its own transaction'}"


def _mode(mode: str) -> str:
    """A lock mode as the manual writes it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


def _session(row: tuple[Any, ...]) -> Session:
    pid, application, user, client, state, query, seconds, kind, blocked_by, locks, *more = row
    started, waits, waited, advisory, progress, may_signal, _shut = more
    held = [_Lock(lock) for lock in locks]
    background = kind not in (None, "client backend")
    guard = [GUARD_KEY >> 32, GUARD_KEY & 0xFFFFFFFF, 1] in advisory
    building = _building(progress) if progress else ""
    waiting = _awaited(*waits) if waits[0] else ""
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
        migrating=None if background else _migrating(held, query or "", guard, building),
        started=started or "",
        waits=waiting,
        waited=waited if waiting else None,
        advisory=tuple(_advisory(*key) for key in advisory),
        building=building,
        may_signal=bool(may_signal),
    )


def _awaited(kind: str, mode: str, schema: str | None, table: str | None, *key: str | None) -> str:
    """The lock that a session waits for, for people."""
    if table:
        return f"{_mode(mode)} on {schema}.{table}"
    if kind == "advisory":
        return f"advisory lock {_advisory(*(int(part or 0) for part in key))}"
    if kind in ("virtualxid", "transactionid"):
        return "the end of another transaction"
    return f"{_mode(mode)} on a {kind}"


def _advisory(high: int, low: int, form: int) -> str:
    """The key as it was given: one number of 64 bits, or two of 32 (manual, view pg_locks)."""
    return str(_signed(high << 32 | low, 64)) if form == 1 else f"{_signed(high)}, {_signed(low)}"


def _signed(number: int, bits: int = 32) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number


def _building(progress: list[str | None]) -> str:
    command, index, table, phase, blocks, of_blocks, tuples, of_tuples, locker = progress
    what = f"{command} {index}".strip() + (f" on {table}" if table else "") + f": {phase}"
    for done, total, noun in ((blocks, of_blocks, "blocks"), (tuples, of_tuples, "tuples")):
        if int(total or 0):
            what += f", {done} of {total} {noun}"
    return what + (f", waits for pid {locker}" if int(locker or 0) else "")


def _migrating(locks: list[_Lock], query: str, guard: bool, building: str) -> str | None:
    """Why a session is taken for a migration; a mere reader of the version table is none."""
    if guard:
        return "it holds the guard lock of migdoctor"
    if building:
        return "it builds an index"
    table = next((lock for lock in locks if lock.versions), None)
    change = next((lock for lock in locks if lock.ddl or lock.writes), None)
    if table and change:
        return f"it has the version table {table.relation} in its transaction, and {change}"
    wanted = next((lock for lock in locks if lock.ddl and lock.relation), None)
    if wanted and (text := _DDL_TEXT.match(query)):
        return f"it runs {text[1].upper()} and {wanted}"
    return None
