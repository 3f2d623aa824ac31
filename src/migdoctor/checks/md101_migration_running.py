"""MD101: somebody else is migrating this database right now (incidents 60, 64)."""

from collections.abc import Iterator

from migdoctor.cures import sessions
from migdoctor.facts import Session
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Severity,
)

WAIT = (
    "wait for it; if it hangs, find out what it waits for (the pids are in the evidence) "
    "before you cancel anything"
)


def at_work(seen: Observation) -> tuple[Session, ...]:
    """Migrations that run, or wait for one that runs; MD102 tells of those that are blocked."""
    known = sessions.by_pid(seen.activity.sessions)
    halves = {sessions.blocks_itself(s, known) for s in known.values() if s.migrating}
    return tuple(
        s
        for s in known.values()
        if s.migrating and s not in halves and not sessions.stuck(s, known)
    )


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when at least one session is taken for a migration that is not stuck."""
    found = at_work(seen)
    if not found:
        return
    evidence = [
        Evidence(title=f"pid {s.pid}", text=sessions.described(s, seen.dialect)) for s in found
    ]
    if any(s.building for s in found):
        evidence.append(
            Evidence(
                title="about the index build",
                text="it goes on in the server even when its client is gone (a killed pod, a time "
                "limit in CI), and the server cannot tell: let it end",
            )
        )
    if seen.dialect == "postgresql":
        evidence.append(Evidence(title="to ask again", text=sessions.HOW_TO_LOOK))
    yield Finding(
        code="MD101",
        subject="target",
        message="a migration is at work here now: what is seen may be half of it, and a "
        "second one would race it",
        help="Wait until it ends, then run migdoctor diagnose again; repair nothing meanwhile.",
        evidence=tuple(evidence),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Nothing unasked; on PostgreSQL one of the pids may be cancelled or ended by name."""
    cures: list[Cure] = [NeedsHuman(finding=finding, why=WAIT)]
    if seen.dialect != "postgresql":
        return tuple(cures)
    for session in at_work(seen):
        if not session.may_signal or not session.started:
            continue
        if session.state == "active":
            cures.append(sessions.cancel(finding, session, waiting=False, default=False))
        cures.append(sessions.terminate(finding, session))
    return tuple(cures)


CHECK = Check(
    code="MD101",
    name="migration-running",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
