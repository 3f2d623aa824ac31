"""MD103: an idle session keeps an advisory lock that somebody waits for (incident 62).

An idle holder alone is no sickness: schedulers elect a leader that way. What makes it one is
somebody who waits for the key, or who asks for advisory locks again and again.
"""

import re
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

IDLE = 2.0  # seconds; a migration in autocommit is idle between two statements
_TRIES = re.compile(r"\bpg_try_advisory_lock\b", re.IGNORECASE)


def stranded(seen: Observation) -> dict[str, tuple[Session, tuple[Session, ...]]]:
    """Idle holders and who wants their lock, by the subject of their finding.

    A holder whose process has another connection that migrates is a runner at work, no relic.
    """
    everybody = seen.activity.sessions
    running = [s for s in everybody if s.migrating]
    found = {}
    for holder in everybody:
        if holder.state != "idle" or not holder.advisory or (holder.seconds or 0) < IDLE:
            continue
        if holder.migrating or any(sessions.same_process(holder, r) for r in running):
            continue
        wanted = tuple(s for s in everybody if s is not holder and _wants(s, holder))
        if wanted:
            found[f"pid {holder.pid}"] = (holder, wanted)
    return found


def _wants(session: Session, holder: Session) -> bool:
    if session.waits.startswith("advisory lock"):
        return holder.pid in session.blocked_by
    return not session.advisory and bool(_TRIES.search(session.query))


def find(seen: Observation) -> Iterator[Finding]:
    """Certain where somebody really waits for it, likely where somebody only tries."""
    for subject, (holder, wanted) in stranded(seen).items():
        waiting = [s for s in wanted if s.waits]
        keys = "; ".join(holder.advisory)
        verb = "waits" if len(wanted) == 1 else "wait"
        yield Finding(
            code="MD103",
            subject=subject,
            message=f"advisory lock {keys} is stranded: pid {holder.pid} keeps it, is idle since "
            f"{holder.seconds or 0:.0f} s and has no open transaction, while {len(wanted)} session"
            f"{'s' * (len(wanted) > 1)} {verb} for it: migrations that take it never begin",
            help="Connect migrations directly and not through a transaction pooler: there the "
            "unlock reaches another server session than the lock did.",
            certainty="certain" if waiting else "likely",
            evidence=(
                Evidence(title=f"the holder: {subject}", text=sessions.described(holder)),
                sessions.queue(wanted),
                Evidence(title="to ask again", text=HOW_TO_LOOK),
            ),
        )


HOW_TO_LOOK = (
    "SELECT l.pid, l.classid, l.objid, l.granted, a.state, a.application_name FROM pg_locks l "
    "JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory'"
)


def remedy(finding: Finding, seen: Observation) -> Cure:
    """End exactly that session, while it is idle; never by default."""
    holder, _ = stranded(seen)[finding.subject]
    if holder.may_signal and holder.started:
        return sessions.terminate(finding, holder)
    return NeedsHuman(finding=finding, why=sessions.by_hand(holder, "pg_terminate_backend"))


CHECK = Check(
    code="MD103",
    name="stranded-advisory-lock",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
