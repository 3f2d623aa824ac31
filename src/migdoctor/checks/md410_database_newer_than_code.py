"""MD410: the database is on a line that goes beyond this checkout (incident 2)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.facts import Sighting
from migdoctor.model import Check, Cure, Evidence, Finding, NeedsHuman, Observation, Severity


def beyond(seen: Observation) -> tuple[Sighting, ...]:
    """The sightings of unknown rows that follow a local head."""
    values = [row.value for row in rows.rows(seen) if row.kind == "unknown" and row.value]
    if not values:
        return ()
    known = seen.sightings  # blind, not healthy, when nothing could be searched
    return tuple(known[v] for v in dict.fromkeys(values) if v in known and rows.newer(v, seen))


def find(seen: Observation) -> Iterator[Finding]:
    """Speak on evidence only: an unknown id without any is MD404."""
    table, sightings = seen.version_table, beyond(seen)
    if table is None or not sightings:
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


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Name the code that fits, and the way back that runs from that code only."""
    first = beyond(seen)[0]
    return NeedsHuman(
        finding=finding,
        why=f"run the code of {first.where} (it has {first.path}); to go back instead, run "
        f"`alembic downgrade {first.leads_to[-1]}` from that code, after reading its downgrade()",
    )


def _where(sighting: Sighting) -> str:
    line = " <- ".join(reversed((sighting.id, *sighting.leads_to)))
    return f"{sighting.source}: {sighting.where}\nfile: {sighting.path}\nline: {line}"


CHECK = Check(
    code="MD410",
    name="database-newer-than-code",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
