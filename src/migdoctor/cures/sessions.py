"""Sessions that wait for each other: the tree they make, and how one of them is ended. Pure.

Incidents 57, 58, 62, 64. The safe order is settled: the waiting schema change is cancelled first,
which PostgreSQL rolls back; a session is ended only by name, and never unasked.
"""

from collections.abc import Iterable, Mapping

from migdoctor.facts import Session
from migdoctor.model import Evidence, Finding, Guard, Hazard, Remedy, Sql, Step, literal

SHOWN = 300  # characters of a statement; the rest is in pg_stat_activity
QUEUE = 12  # waiting sessions that are listed one by one
TOGETHER = 60.0  # seconds within which one process opens its connections
HOW_TO_LOOK = (
    "SELECT pid, application_name, state, now() - xact_start AS open_for, "
    "pg_blocking_pids(pid) AS waits_for, query FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
Sessions = Mapping[int, Session]


def by_pid(sessions: Iterable[Session]) -> dict[int, Session]:
    """Sessions under their process number."""
    return {session.pid: session for session in sessions}


def roots(session: Session, known: Sessions) -> tuple[int, ...]:
    """The pids at the end of the chain of waits: they block and wait for nobody.

    A pid that no session has is a prepared transaction (0) or one of another database.
    """
    found: dict[int, None] = {}
    passed = {session.pid}
    ahead = list(session.blocked_by)
    while ahead:
        pid = ahead.pop(0)
        if pid in passed:
            continue
        passed.add(pid)
        further = known[pid].blocked_by if pid in known else ()
        if further:
            ahead += further
        else:
            found[pid] = None
    return tuple(found)


def behind(session: Session, known: Sessions) -> tuple[Session, ...]:
    """Every session that waits for this one, at whatever distance; longest wait first."""
    queue = {session.pid}
    while more := {s.pid for s in known.values() if queue.intersection(s.blocked_by)} - queue:
        queue |= more
    waiting = [known[pid] for pid in queue - {session.pid}]
    return tuple(sorted(waiting, key=lambda s: (-(s.waited or 0), s.pid)))


def same_process(one: Session, other: Session) -> bool:
    """Whether two connections look like those of one process: who, whence, what and when alike.

    The server knows no process of a client, so this is never more than likely.
    """
    if (one.user, one.client, one.application) != (other.user, other.client, other.application):
        return False
    apart = _apart(one, other)
    return apart is not None and apart <= TOGETHER


def _apart(one: Session, other: Session) -> float | None:
    """Seconds between the openings of two connections; None where they are not known."""
    moments = [_seconds(s.started) for s in (one, other)]
    if moments[0] is None or moments[1] is None:
        return None
    return abs(moments[0] - moments[1])


def _seconds(moment: str) -> float | None:
    """'2026-01-31 10:20:30.123456+00' as seconds; months count 31 days, which is near enough."""
    day, _, clock = moment.partition(" ")
    try:
        year, month, date = (int(part) for part in day.split("-"))
        hours, minutes, seconds = (float(part) for part in clock.removesuffix("+00").split(":"))
    except ValueError:
        return None
    return ((year * 12 + month) * 31 + date) * 86400 + hours * 3600 + minutes * 60 + seconds


def blocks_itself(session: Session, known: Sessions) -> Session | None:
    """The other connection of the same process that a session waits for (incident 58)."""
    for pid in roots(session, known):
        root = known.get(pid)
        if root and root.state.startswith("idle in transaction") and same_process(session, root):
            return root
    return None


def stuck(session: Session, known: Sessions) -> bool:
    """Whether it waits for somebody who is no migration, or for a connection of its own."""
    if not session.blocked_by:
        return False
    if blocks_itself(session, known):
        return True
    return not all(pid in known and known[pid].migrating for pid in roots(session, known))


# --- for people ---------------------------------------------------------------------------------


def described(session: Session, dialect: str = "postgresql") -> str:
    """What is known about one session, a line each; on SQLite a session is a process."""
    doing = "command" if dialect == "sqlite" else "last statement"
    lines = [
        f"taken for a migration: {session.migrating}" if session.migrating else "",
        f"who: {who(session)}" if who(session) else "",
        f"state: {session.state}" if session.state else "",
        "" if session.seconds is None else f"{_clock(session)}: {session.seconds:.0f} s",
        f"builds: {session.building}" if session.building else "",
        f"waits for pid {', '.join(map(str, session.blocked_by))}{_since(session)}"
        if session.blocked_by
        else "",
        f"holds: {', '.join(session.holds)}" if session.holds else "",
        f"holds advisory lock {'; '.join(session.advisory)}" if session.advisory else "",
        f"{doing}: {statement(session)}" if session.query else "",
    ]
    return "\n".join(line for line in lines if line)


def _clock(session: Session) -> str:
    return "idle for" if session.state == "idle" else "open for"


def who(session: Session) -> str:
    """Application, user and client, as far as the server tells."""
    parts = (
        session.application,
        session.user and f"user {session.user}",
        session.client and f"client {session.client}",
    )
    return ", ".join(part for part in parts if part)


def statement(session: Session, length: int = SHOWN) -> str:
    """Its last statement on one line, cut."""
    query = " ".join(session.query.split())
    return f"{query[:length]}{'...' * (len(query) > length)}"


def _since(session: Session) -> str:
    text = f", for {session.waits}" if session.waits else ""
    return text if session.waited is None else f"{text} since {session.waited:.0f} s"


def queue(waiting: tuple[Session, ...]) -> Evidence:
    """Who stands behind a session, the longest first."""
    lines = [
        f"pid {s.pid}, {who(s)}: since {s.waited or 0:.0f} s, {statement(s, 60)}"
        for s in waiting[:QUEUE]
    ]
    if len(waiting) > QUEUE:
        lines.append(f"... and {len(waiting) - QUEUE} more")
    return Evidence(title="behind it", text="\n".join(lines))


def rooted(pid: int, known: Sessions) -> Evidence:
    """One root of the tree."""
    if pid in known:
        return Evidence(title=f"root: pid {pid}", text=described(known[pid]))
    text = (
        "a prepared transaction: SELECT * FROM pg_prepared_xacts"
        if pid == 0
        else "a session that is not at work on this database"
    )
    return Evidence(title=f"root: pid {pid}", text=text)


# --- ending one ---------------------------------------------------------------------------------


def is_passing(step: Step) -> bool:
    """Whether a step only ends what a session does: no copy has it, nothing durable changes."""
    return isinstance(step, Sql) and step.touches.startswith("session ")


def cancel(finding: Finding, session: Session, *, waiting: bool, default: bool) -> Remedy:
    """Cancel what a session runs now; `waiting`: only if it still waits for a lock."""
    when = " AND wait_event_type = 'Lock'" if waiting else " AND state = 'active'"
    because = f"pid {session.pid} must still be the same session and still {_doing(waiting)}"
    return Remedy(
        finding=finding,
        key="cancel" if default else f"cancel-{session.pid}",
        title=f"cancel what pid {session.pid} runs; its session stays",
        default=default,
        steps=(_signal("pg_cancel_backend", session, when, because),),
    )


def terminate(finding: Finding, session: Session) -> Remedy:
    """End one session; only ever chosen by its pid and with ENDS_SESSION allowed."""
    idle = session.state.startswith("idle")
    when = f" AND state = {literal(session.state)}" if idle else ""
    because = f"pid {session.pid} must still be the same session, in the same state"
    return Remedy(
        finding=finding,
        key=f"terminate-{session.pid}",
        title=f"end session {session.pid} ({session.application or session.user}); "
        + ("it has no open transaction" if session.state == "idle" else "its work is rolled back"),
        default=False,
        steps=(_signal("pg_terminate_backend", session, when, because, (Hazard.ENDS_SESSION,)),),
    )


def _doing(waiting: bool) -> str:
    return "wait for a lock" if waiting else "run a statement"


def _signal(
    function: str, session: Session, when: str, because: str, hazards: tuple[Hazard, ...] = ()
) -> Sql:
    """The statement looks for pid and start once more itself: numbers are used again.

    There is nothing to take back: what was cancelled or ended has been rolled back by the server.
    """
    this = (
        f"FROM pg_stat_activity WHERE pid = {session.pid} "
        f"AND backend_start = {literal(session.started)}{when}"
    )
    return Sql(
        run=f"SELECT {function}(pid) {this}",
        undo=(),
        touches=f"session {session.pid}",
        hazards=hazards,
        rows=1,
        guard=Guard(query=f"SELECT count(*) {this}", answer=1, because=because),
    )


def by_hand(session: Session, function: str) -> str:
    """The statement for somebody who has the right to run it."""
    return (
        f"pid {session.pid} belongs to {session.user or 'another role'}: a member of that role, of "
        f"pg_signal_backend or a superuser may run SELECT {function}({session.pid})"
    )
