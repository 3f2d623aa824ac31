"""MD410: the database is on a line that goes beyond this checkout (incident 2)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.cures import files, place, standing
from migdoctor.facts import Sighting
from migdoctor.model import Check, Cure, Evidence, Finding, NeedsHuman, Observation, Severity


def beyond(seen: Observation) -> tuple[Sighting, ...]:
    """The sightings of unknown rows that follow a local head."""
    values = unknown(seen)
    if not values:
        return ()
    known = seen.sightings  # blind, not healthy, when nothing could be searched
    return tuple(known[v] for v in dict.fromkeys(values) if v in known and rows.newer(v, seen))


def unknown(seen: Observation) -> tuple[str, ...]:
    """The rows that no file knows."""
    return tuple(row.value for row in rows.rows(seen) if row.kind == "unknown" and row.value)


def find(seen: Observation) -> Iterator[Finding]:
    """Speak on evidence only: an unknown id without any is MD404."""
    table = seen.version_table
    if table is None:
        return
    more = standing.beyond_heads(seen) if unknown(seen) else ()
    sightings = () if more and "sightings" in seen.missing else beyond(seen)
    if not sightings:
        if more:
            yield _by_schema(seen, more)
        return
    said = "; ".join(f"{s.id} follows {s.leads_to[-1]} and is in {s.where}" for s in sightings)
    yield Finding(
        code="MD410",
        subject=table.label,
        message=f"the database is newer than this code: {said}",
        help="Deploy the code that has it. Change nothing in the database.",
        evidence=(
            rows.as_stored(table),
            *(Evidence(title=f"where {s.id} was seen", text=_where(s)) for s in sightings),
        ),
    )


def _by_schema(seen: Observation, more: tuple[standing.Difference, ...]) -> Finding:
    """All that this code knows has run, and there is more (incident 2)."""
    assert seen.version_table is not None
    said = "; ".join(f"{s.id} is in {s.where}" for s in _sightings(seen))
    return Finding(
        code="MD410",
        subject=seen.version_table.label,
        message=f"the database is newer than this code: {rows.listed(unknown(seen))} is no "
        "revision of it, all that its revisions make is there, and the schema has more"
        f"{f'; {said}' if said else ''}",
        help="Deploy the code that has it. Change nothing in the database.",
        certainty="certain" if said else "likely",
        evidence=(
            rows.as_stored(seen.version_table),
            standing.how_known(seen),
            Evidence(title="not made by any revision of this code", text=standing.lines(more)),
            *(Evidence(title=f"where {s.id} was seen", text=_where(s)) for s in _sightings(seen)),
        ),
    )


def _sightings(seen: Observation) -> list[Sighting]:
    known = rows.sightings(seen)
    return [known[v] for v in dict.fromkeys(unknown(seen)) if v in known]


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The missing files, and nothing in the database; else name the code that fits."""
    if back := files.restored(finding, seen, set(unknown(seen))):
        return (back,)
    newer = [s for s in _sightings(seen) if s.leads_to]
    if newer:
        first = newer[0]
        why = (
            f"run the code of {first.where} (it has {first.path}); to go back instead, run "
            f"`alembic downgrade {first.leads_to[-1]}` from that code, after reading its "
            "downgrade()"
        )
        return (NeedsHuman(finding=finding, why=why),)
    why = (
        "find the release or branch that has the revision and run that; if another "
        "application shares this version table, give it one of its own"
    )
    human = NeedsHuman(finding=finding, why=why)
    bridge = None
    if seen.has("position"):
        bridge = place.bridge(finding, seen, list(dict.fromkeys(unknown(seen))), default=False)
    return (human, bridge) if bridge else (human,)


def _where(sighting: Sighting) -> str:
    line = " <- ".join(reversed((sighting.id, *sighting.leads_to)))
    when = f", {sighting.when}" if sighting.when else ""
    return f"{sighting.source}: {sighting.where}{when}\nfile: {sighting.path}\nline: {line}"


CHECK = Check(
    code="MD410",
    name="database-newer-than-code",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
