"""MD407: the version table has no row although the database has tables (incident 7)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.cures import place, standing
from migdoctor.model import Check, Cure, Evidence, Finding, NeedsHuman, Observation, Severity

SHOWN = 12


def find(seen: Observation) -> Iterator[Finding]:
    """Without user tables the database is fresh and an empty version table is right."""
    table = seen.version_table
    if table is None or table.rows or not seen.history.revisions:
        return
    tables = sorted(".".join(t) for t in seen.schema.tables) + sorted(seen.schema.unreadable)
    if not tables:
        return
    more = [f"... and {len(tables) - SHOWN} more"] if len(tables) > SHOWN else []
    yield Finding(
        code="MD407",
        subject=table.label,
        message=f"{table.label} has no row, but the database holds {len(tables)} "
        f"table{'s' * (len(tables) > 1)}: upgrade starts at the first revision and stops with "
        "'already exists'",
        help="Find out which revision the tables are at; do not stamp head blindly.",
        evidence=(
            rows.as_stored(table),
            Evidence(title="tables of the database", text="\n".join(tables[:SHOWN] + more)),
            *((standing.how_known(seen),) if seen.has("position") else ()),
        ),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The row comes back where the schema proves it."""
    table = seen.version_table
    if table is None or not seen.has("position"):
        why = (
            "the row that said where the database is has gone: compare the tables with the "
            "revisions, then stamp the newest one whose every change is there"
        )
        return (NeedsHuman(finding=finding, why=why),)
    return place.record(finding, seen, table=(table.schema, table.name), before=())


CHECK = Check(
    code="MD407",
    name="version-table-empty",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
