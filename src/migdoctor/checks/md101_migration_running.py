"""MD101: somebody else is migrating this database right now (incidents 60, 64)."""

from collections.abc import Iterator

from migdoctor.facts import Session
from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

SHOWN = 300  # characters of a statement; the rest is in pg_stat_activity
HOW_TO_LOOK = (
    "SELECT pid, application_name, state, now() - xact_start AS open_for, "
    "pg_blocking_pids(pid) AS waits_for, query FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def described(session: Session, dialect: str) -> str:
    """What is known about one session, a line each; on SQLite a session is a process."""
    doing = "command" if dialect == "sqlite" else "last statement"
    query = " ".join(session.query.split())
    who = ", ".join(
        part
        for part in (
            session.application,
            session.user and f"user {session.user}",
            session.client and f"client {session.client}",
        )
        if part
    )
    lines = [
        f"taken for a migration: {session.migrating}",
        f"who: {who}" if who else "",
        f"state: {session.state}" if session.state else "",
        "" if session.seconds is None else f"open for: {session.seconds:.0f} s",
        f"waits for pid {', '.join(map(str, session.blocked_by))}" if session.blocked_by else "",
        f"holds: {', '.join(session.holds)}" if session.holds else "",
        f"{doing}: {query[:SHOWN]}{'...' * (len(query) > SHOWN)}" if query else "",
    ]
    return "\n".join(line for line in lines if line)


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when at least one session is taken for a migration."""
    at_work = [s for s in seen.activity.sessions if s.migrating]
    if not at_work:
        return
    evidence = [Evidence(title=f"pid {s.pid}", text=described(s, seen.dialect)) for s in at_work]
    if seen.dialect == "postgresql":
        evidence.append(Evidence(title="to ask again", text=HOW_TO_LOOK))
    yield Finding(
        code="MD101",
        subject="target",
        message="a migration is at work here now: what is seen may be half of it, and a "
        "second one would race it",
        help="Wait until it ends, then run migdoctor diagnose again; repair nothing meanwhile.",
        evidence=tuple(evidence),
    )


CHECK = Check(
    code="MD101",
    name="migration-running",
    severity=Severity.WARNING,
    find=find,
    remedy=leave_to_human(
        "wait for it; if it hangs, find out what it waits for (the pids are in the evidence) "
        "before you cancel anything"
    ),
)
