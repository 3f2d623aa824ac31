"""MD408: the version column cannot hold the longest revision id (incident 12; PostgreSQL)."""

from collections.abc import Iterator

from migdoctor import rows
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
    """SQLite ignores the width, there it is None."""
    table = seen.version_table
    if table is None or rows.widening(table, seen.history) is None:
        return
    long = [id for id in seen.history.by_id if len(id) > (table.width or 0)]
    yield Finding(
        code="MD408",
        subject=table.label,
        message=f"{table.label}.version_num is VARCHAR({table.width}), but {long[0]} has "
        f"{len(long[0])} characters: the upgrade to it fails and is rolled back",
        help="Widen the column; it takes a moment and rewrites nothing.",
        evidence=(
            Evidence(
                title=f"ids longer than {table.width}",
                text="\n".join(f"{id} ({len(id)})" for id in long[:12]),
            ),
        ),
    )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Make the column wide enough for every id there is."""
    table = seen.version_table
    widen = rows.widening(table, seen.history) if table else None
    if widen is None:
        return NeedsHuman(finding=finding, why="the column is wide enough by now")
    return Remedy(finding=finding, key="widen", title="widen the version column", steps=(widen,))


CHECK = Check(
    code="MD408",
    name="version-column-too-narrow",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
