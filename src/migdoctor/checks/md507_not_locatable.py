"""MD507: nobody can say where the schema stands on the history (incidents 18, 21)."""

from collections.abc import Iterator

from migdoctor.cures import rerun, standing
from migdoctor.errors import NotApplicable
from migdoctor.model import (
    Check,
    Evidence,
    Finding,
    Observation,
    Severity,
    leave_to_human,
)


def find(seen: Observation) -> Iterator[Finding]:
    """Silent where the record is among the nearest states, or a gap explains the rest (MD504).

    A history that cannot be replayed says nothing against the database: worth knowing, and not
    even that while the schema is where the record says, or as the models want it at head.
    """
    told = standing.stand(seen)
    if standing.second_hand(seen) or standing.edge(seen):
        placed = standing.is_located(seen, told) and standing.agrees(seen)
        if not placed and not standing.made_by_models(seen):
            yield _ended(seen)
        return
    if not standing.recognised(seen):
        raise NotApplicable("position", "the rows must name revisions first (MD404 to MD410)")
    if told.certainty == "unknown" and not standing.agrees(seen):
        yield _ambiguous(seen)


def _ambiguous(seen: Observation) -> Finding:
    position = seen.position
    near = tuple(dict.fromkeys((*position.candidates, *position.rivals)))
    found = standing.differences(seen, position.state)
    return Finding(
        code="MD507",
        subject="schema",
        message=f"the schema cannot be located: {rerun.listed(near) or 'the first revisions'} are "
        f"equally near, and the nearest differs in {_facts(position.distance)}",
        help="Read what differs; undo what was done by hand, or say which revision is meant.",
        evidence=(
            standing.how_known(seen),
            Evidence(title="live against the nearest state", text=standing.lines(found)),
            *_incomparable(seen),
        ),
    )


def _ended(seen: Observation) -> Finding:
    failed = standing.edge(seen) or (seen.timeline.failed or ("",))[0]
    revision = seen.history.by_id.get(failed)
    at = f": revision {failed}: {standing.why_not_replayed(seen, failed)}" if failed else ""
    return Finding(
        code="MD507",
        subject="schema",
        message="the schema cannot be located, because its history cannot be replayed from "
        f"nothing{at}",
        help="Look at that revision; what it and later ones make was not compared with the "
        "database."
        if failed
        else "The timeline begins with tables that the models make; what the first revisions make "
        "was not compared with the database.",
        severity=Severity.INFO,
        evidence=(standing.how_known(seen), *_incomparable(seen)),
        path=revision.path if revision else None,
        line=revision.line if revision else None,
    )


def _facts(number: int) -> str:
    return "1 fact" if number == 1 else f"{number} facts"


def _incomparable(seen: Observation) -> tuple[Evidence, ...]:
    shut = {**seen.schema.unreadable, **seen.timeline.incomparable}
    if not shut:
        return ()
    text = "\n".join(f"{name}: {why}" for name, why in sorted(shut.items()))
    return (Evidence(title="could not be compared", text=text),)


CHECK = Check(
    code="MD507",
    name="not-locatable",
    severity=Severity.WARNING,
    find=find,
    remedy=leave_to_human(
        "nothing may be recorded or run on a guess: compare the schema with the files of the "
        "revisions named, then stamp the one whose every change is there"
    ),
)
