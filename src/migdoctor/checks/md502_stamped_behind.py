"""MD502: revisions that ran and are not recorded (incidents 19, 21)."""

from collections.abc import Iterator, Sequence

from migdoctor.cures import place, rerun, standing, statements
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
    """Without any row it is MD401 or MD407; rows that name no revision are cured first."""
    table = seen.version_table
    if table is None or not seen.stamped or not standing.recognised(seen):
        return
    told = standing.proven(seen)
    if not told.behind or told.certainty == "unknown":
        return
    many = "1 revision" if len(told.behind) == 1 else f"{len(told.behind)} revisions"
    yield Finding(
        code="MD502",
        subject=table.label,
        message=f"{many} ran and {'is' if len(told.behind) == 1 else 'are'} not recorded: "
        f"{rerun.listed(told.behind)}{_branch(seen, told.behind)}; the next upgrade runs "
        f"{told.behind[0]} again and stops with 'already exists', or changes rows twice",
        help="Move the row up, one revision at a time, as far as the schema proves it.",
        certainty="likely" if told.certainty == "certain" else told.certainty,
        evidence=(standing.how_known(seen), _footprints(seen, told.behind)),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Record one revision after the other; stop before one that changes rows, and ask."""
    table, told = seen.version_table, standing.proven(seen)
    assert table is not None
    home = (table.schema, table.name)
    ids = _between(seen, told.behind)
    sure = ids[: next((n for n, id in enumerate(ids) if not _proven(seen, id)), len(ids))]
    rest = ids[len(sure) :]
    cures: list[Cure] = []
    if sure:
        cures.append(
            Remedy(
                finding=finding,
                key="advance",
                title=f"record {rerun.listed(sure)}, whose every change is in the schema",
                steps=statements.stamps(sure, home, seen.rows, seen),
                default=told.exact and not place.as_created(seen),
                remains=f"{rest[0]}: {_doubt(seen, rest[0])}" if rest else "",
            )
        )
    if rest and all(seen.position.footprints[id].state != "partly" for id in rest):
        cures.append(
            Remedy(
                finding=finding,
                key=rerun.WITH_DATA,
                title=f"record {rerun.listed(ids)}, if you know that its rows were changed as well",
                steps=statements.stamps(ids, home, seen.rows, seen),
                default=False,
            )
        )
    elif rest:
        cures.append(NeedsHuman(finding=finding, why=f"{rest[0]}: {_doubt(seen, rest[0])}"))
    return tuple(cures)


def _between(seen: Observation, behind: Sequence[str]) -> tuple[str, ...]:
    """The revisions to record, in order: those that ran, and what comes before them."""
    claimed, needed = seen.history.closure(seen.stamped), seen.history.closure(behind)
    return tuple(id for id in seen.timeline.units if id in needed and id not in claimed)


def _proven(seen: Observation, id: str) -> bool:
    whole = seen.position.footprints[id].state in ("applied", "unknown")
    return whole and not statements.has_data(seen.timeline, id)


def _doubt(seen: Observation, id: str) -> str:
    if statements.has_data(seen.timeline, id):
        return "it changes rows, or more than the schema shows, and nobody can see whether it did"
    return "a part of what it makes is not as it made it"


def _branch(seen: Observation, ids: Sequence[str]) -> str:
    """The name of a branch without a row."""
    rows = seen.history.closure(seen.stamped)
    if any(p in rows for id in ids for p in seen.history.parents[id]):
        return ""
    labels = sorted({label for id in ids for label in seen.history.labelled(id)})
    return f" (branch {', '.join(labels)} has no row)" if labels else " (their branch has no row)"


def _footprints(seen: Observation, ids: Sequence[str]) -> Evidence:
    def line(id: str) -> str:
        states = seen.position.footprints[id].units
        there = sum(state == "applied" for state in states)
        data = ", and statements that change rows" if statements.has_data(seen.timeline, id) else ""
        return f"{id}: {there} of {len(states)} schema changes show{data}"

    return Evidence(
        title="what of them is in the schema", text="\n".join(map(line, ids[: standing.SHOWN]))
    )


CHECK = Check(
    code="MD502", name="stamped-behind", severity=Severity.ERROR, find=find, remedy=remedy
)
