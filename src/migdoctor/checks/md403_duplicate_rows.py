"""MD403: the version table lists one revision more than once (incident 10)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.model import Check, Cure, Finding, NeedsHuman, Observation, Remedy, Severity


def repeated(seen: Observation) -> dict[str, int]:
    """Value -> how often it is stored, of values that are stored more than once.

    Blanks are MD405's, one or many.
    """
    counts = {value: seen.rows.count(value) for value in seen.rows if value and value.strip()}
    return {value: count for value, count in counts.items() if count > 1}


def find(seen: Observation) -> Iterator[Finding]:
    """Say what is stored how often."""
    table, many = seen.version_table, repeated(seen)
    if table is None or not many:
        return
    times = ", ".join(f"{rows.show(value)} {count} times" for value, count in many.items())
    found = max(many.values())
    yield Finding(
        code="MD403",
        subject=table.label,
        message=f"{table.label} holds {times}: the next upgrade stops, alembic expects to match "
        f"one row and finds {found}",
        help="Keep one row of each; then look why it could happen: a version table without "
        "primary key (MD409).",
        evidence=(rows.as_stored(table),),
    )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Keep each value once, blanks as they are."""
    table, many = seen.version_table, repeated(seen)
    if table is None:
        return NeedsHuman(finding=finding, why="the version table has gone")
    after = [v for n, v in enumerate(table.rows) if v not in many or v not in table.rows[:n]]
    return Remedy(
        finding=finding,
        key="distinct",
        title="keep one row of each revision",
        steps=(rows.restamp(table, tuple(after)),),
    )


CHECK = Check(
    code="MD403", name="duplicate-rows", severity=Severity.ERROR, find=find, remedy=remedy
)
