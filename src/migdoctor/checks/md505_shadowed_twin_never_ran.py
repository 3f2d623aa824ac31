"""MD505: of two files with one revision id, one never ran here (incident 28)."""

from collections.abc import Iterator
from dataclasses import replace

from migdoctor.cures import rerun, standing, twins
from migdoctor.graph import Revision
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
)


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each id that the record has and two different files claim."""
    claimed = seen.history.closure(seen.stamped)
    ids = [id for id in seen.history.twins if id in claimed]
    if not ids or not standing.recognised(seen):
        return
    told = standing.proven(seen)
    for id in ids:
        counts = seen.history.by_id[id]
        others = tuple(r for r in seen.history.twins[id] if r.sha != counts.sha)
        if id in told.shadowed:
            yield _loaded_one_missing(id, counts, seen, told)
        elif others and _nothing_else(seen, told, id):
            yield _other_one_missing(id, counts, others, seen)


def _loaded_one_missing(
    id: str, counts: Revision, seen: Observation, told: standing.Standing
) -> Finding:
    more = standing.foreign(seen, told.state)
    return Finding(
        code="MD505",
        subject=id,
        message=f"{id} is recorded, but what {counts.path.name} makes is missing: another file "
        "with the same id ran in its place, and alembic takes both for done",
        help="Run its statements here, then give one of the two files a new id (MD202).",
        certainty="likely" if told.certainty == "certain" else told.certainty,
        evidence=(
            standing.how_known(seen),
            rerun.evidence(seen, (id,)),
            Evidence(
                title="in the database, and not made by the files that alembic loads",
                text=standing.lines(more) or "nothing",
            ),
        ),
        path=counts.path,
        line=counts.line,
    )


def _other_one_missing(
    id: str, counts: Revision, others: tuple[Revision, ...], seen: Observation
) -> Finding:
    names = ", ".join(r.path.name for r in others)
    return Finding(
        code="MD505",
        subject=id,
        message=f"{id} ran here as {counts.path.name}; {names} has the same id and never ran: the "
        "database has nothing that the loaded files do not make",
        help="Give it a new id and put it on top of the head; the next upgrade then runs it.",
        certainty="likely",
        evidence=(standing.how_known(seen),),
        path=others[0].path,
        line=others[0].line,
    )


def _nothing_else(seen: Observation, told: standing.Standing, id: str) -> bool:
    """The loaded file is in the schema, whole, and there is nothing that another file made."""
    return (
        told.exact
        and bool(seen.timeline.units.get(id))
        and id in seen.position.applied
        and not standing.foreign(seen, told.state)
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The files first (MD202): a file with an id of its own runs with the next upgrade.

    Where they cannot be cured, the loaded file's own statements; of one that alembic never loads
    none are known.
    """
    told = standing.proven(seen)
    files = [c for c in twins.cures(finding, seen, finding.subject) if isinstance(c, Remedy)]
    first = next((c for c in files if c.default), None)
    if finding.subject in told.shadowed:
        ran = rerun.run_again(finding, seen, (finding.subject,), told)
        if first is None:
            return ran
        why = f"MD202 comes first ({first.title}); the next upgrade then runs it"
        later = (replace(c, default=False) for c in ran if isinstance(c, Remedy))
        return (NeedsHuman(finding=finding, why=why), *later)
    if first is not None:
        why = f"cured by MD202: {first.title}; the next upgrade then runs it"
        return (NeedsHuman(finding=finding, why=why),)
    others = [r for r in seen.history.twins[finding.subject] if r.path == finding.path]
    name = others[0].path.name
    why = (
        f"the files come first (MD202): alembic does not load {name} while another file has its "
        "id, so that nothing of it can be run or rehearsed; give it a new id with "
        f"{' and '.join(seen.history.heads)} as its down_revision, and keep the id for the file "
        "that ran; alembic upgrade head then runs it"
    )
    return (NeedsHuman(finding=finding, why=why),)


CHECK = Check(
    code="MD505",
    name="shadowed-twin-never-ran",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
