"""MD402: the version table lists a revision together with its own ancestor (incident 8)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.model import Check, Cure, Finding, NeedsHuman, Observation, Remedy, Severity

IMPLIED = "implied"  # the cure of a row that is implied through depends_on


def overlapped(seen: Observation) -> dict[str, str]:
    """Rows that come before another row through down_revision alone -> that other row."""
    lineage = {row: seen.history.lineage(row) for row in seen.stamped}
    return {
        row: other
        for row in seen.stamped
        for other in seen.stamped
        if row in lineage[other] and other not in lineage[row]  # not so inside a cycle (MD204)
    }


def implied(seen: Observation) -> dict[str, str]:
    """Rows that another row implies only through depends_on -> that other row."""
    before = {row: seen.history.ancestors(row) for row in seen.stamped}
    return {
        row: other
        for row in seen.stamped
        for other in seen.stamped
        if row in before[other]
        and other not in before[row]
        and row not in seen.history.lineage(other)
    }


def find(seen: Observation) -> Iterator[Finding]:
    """An error through down_revision; only worth knowing through depends_on.

    Measured: `alembic upgrade` refuses both (1.13.0 and 1.20.1, with the same message); the second
    comes about when depends_on is added to a revision that has run already.
    """
    table = seen.version_table
    if table is None or len(seen.stamped) < 2:
        return
    surplus = overlapped(seen)
    if surplus:
        yield Finding(
            code="MD402",
            subject=table.label,
            message=f"{_pairs(surplus)} in {table.label}: "
            "alembic upgrade refuses, the two rows overlap",
            help="Remove the older row; the newer one says all that it says.",
            evidence=(rows.as_stored(table),),
        )
    if by_dependency := {r: by for r, by in implied(seen).items() if r not in surplus}:
        yield Finding(
            code="MD402",
            subject=f"{table.label} (depends_on)",
            message=f"{_pairs(by_dependency)} in {table.label}, through depends_on",
            help="When alembic upgrade says that they overlap: "
            f"migdoctor fix --only MD402:{IMPLIED}",
            severity=Severity.INFO,
            evidence=(rows.as_stored(table),),
        )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Keep every row but the proper ancestors of another one."""
    table, surplus = seen.version_table, overlapped(seen)
    if table is None:
        return NeedsHuman(finding=finding, why="the version table has gone")
    by_dependency = finding.severity is Severity.INFO
    if by_dependency:
        surplus |= implied(seen)
    return Remedy(
        finding=finding,
        key=IMPLIED if by_dependency else "newest",
        title="keep only the newest row of each line",
        steps=(rows.restamp(table, tuple(r for r in table.rows if r not in surplus)),),
        default=not by_dependency,
    )


def _pairs(surplus: dict[str, str]) -> str:
    return "; ".join(f"{row} is listed beside its descendant {by}" for row, by in surplus.items())


CHECK = Check(
    code="MD402", name="overlapping-rows", severity=Severity.ERROR, find=find, remedy=remedy
)
