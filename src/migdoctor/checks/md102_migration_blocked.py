"""MD102: a migration waits for a lock, and everybody queues up behind it (incidents 57, 58)."""

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


def victims(seen: Observation) -> dict[str, Session]:
    """The migrations that are stuck, by the subject of their finding."""
    known = sessions.by_pid(seen.activity.sessions)
    return {f"pid {s.pid}": s for s in known.values() if s.migrating and sessions.stuck(s, known)}


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each migration that is stuck: the victim, the root, the queue."""
    known = sessions.by_pid(seen.activity.sessions)
    for subject, victim in victims(seen).items():
        other = sessions.blocks_itself(victim, known)
        queue = sessions.behind(victim, known)
        evidence = [Evidence(title=f"the migration: {subject}", text=sessions.described(victim))]
        evidence += [sessions.rooted(pid, known) for pid in sessions.roots(victim, known)]
        if queue:
            evidence.append(sessions.queue(queue))
        evidence.append(Evidence(title="to ask again", text=sessions.HOW_TO_LOOK))
        yield Finding(
            code="MD102",
            subject=subject,
            message=_message(victim, other, known, len(queue)),
            help=_help(other),
            certainty="likely" if other else "certain",
            evidence=tuple(evidence),
        )


def _message(victim: Session, other: Session | None, known: sessions.Sessions, queue: int) -> str:
    since = "" if victim.waited is None else f" since {victim.waited:.0f} s"
    lock = victim.waits or "a lock"
    waiting = f"; {queue} session{'s wait' if queue > 1 else ' waits'} behind it" if queue else ""
    if other:
        return (
            f"a migration blocks itself: pid {victim.pid} waits{since} for {lock}, which pid "
            f"{other.pid} keeps, a second connection of what looks like the same process; it waits "
            f"for ever, and no deadlock is reported{waiting}"
        )
    whom = ", ".join(_called(pid, known) for pid in sessions.roots(victim, known))
    return f"a migration hangs: pid {victim.pid} waits{since} for {lock}, kept by {whom}{waiting}"


def _called(pid: int, known: sessions.Sessions) -> str:
    if pid not in known:
        return "a prepared transaction" if pid == 0 else f"pid {pid}"
    root = known[pid]
    name = root.application or root.user or "unnamed"
    age = "" if root.seconds is None else f" since {root.seconds:.0f} s"
    return f"pid {pid} ({name}, {root.state}{age})"


def _help(other: Session | None) -> str:
    if other:
        return (
            "Cancel the waiting migration; then change the revision or env.py so that it uses one "
            "connection, op.get_bind(), or it will hang again."
        )
    return (
        "Cancel the waiting migration first: it is rolled back and the queue drains. Then deal "
        "with the root, which may be a backup or somebody's open order, and try again with a short "
        "lock_timeout."
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Cancel the migration that waits; ending a root is a choice that names its pid."""
    known = sessions.by_pid(seen.activity.sessions)
    victim = victims(seen)[finding.subject]
    cures: list[Cure] = []
    if victim.may_signal and victim.started:
        cures.append(sessions.cancel(finding, victim, waiting=True, default=True))
    else:
        why = sessions.by_hand(victim, "pg_cancel_backend")
        cures.append(NeedsHuman(finding=finding, why=why))
    for pid in sessions.roots(victim, known):
        root = known.get(pid)
        if root and root.may_signal and root.started:
            cures.append(sessions.terminate(finding, root))
    return tuple(cures)


CHECK = Check(
    code="MD102",
    name="migration-blocked",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
