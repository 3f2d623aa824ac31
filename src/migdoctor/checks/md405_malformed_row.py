"""MD405: a version row is NULL or blank, or an id with wrong case or white space (incident 11)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.model import Check, Cure, Finding, NeedsHuman, Observation, Remedy, Severity

BAD: tuple[rows.Kind, ...] = ("blank", "malformed")


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for the table: what is stored, what was meant."""
    table = seen.version_table
    bad = [row for row in rows.rows(seen) if row.kind in BAD]
    if table is None or not bad:
        return
    meant = {row.value: row.id for row in bad}
    said = "; ".join(
        f"{rows.show(value)}, which names no revision" if id is None
        else f"{rows.show(value)}, which is {id} badly written"
        for value, id in meant.items()
    )  # fmt: skip
    yield Finding(
        code="MD405",
        subject=table.label,
        message=f"{table.label} holds {said}: {_cost(bad)}",
        help="Set the row to exactly the id; a blank row beside a good one can go.",
        evidence=(rows.as_stored(table),),
    )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Each badly written id replaced by the id itself, blanks removed; never the last row."""
    table, all_rows = seen.version_table, rows.rows(seen)
    if table is None or not any(row.id for row in all_rows):
        return NeedsHuman(
            finding=finding,
            why="no row says where the database is: find out which revision its tables are at, "
            "then write that id into the row",
        )
    return Remedy(
        finding=finding,
        key="exact",
        title="write the ids exactly",
        steps=(rows.restamp(table, rows.mended(all_rows, BAD)),),
    )


def _cost(bad: list[rows.Row]) -> str:
    if any(row.kind == "malformed" for row in bad):
        return "alembic takes it for an unknown revision and refuses every command"
    if any(row.value is not None for row in bad):
        return 'alembic stops at it with a bare AssertionError or "Can\'t locate revision"'
    return "alembic takes it for no revision at all"


CHECK = Check(code="MD405", name="malformed-row", severity=Severity.ERROR, find=find, remedy=remedy)
