"""MD406: a version row is the beginning of exactly one id, cut off (incident 9)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.model import Check, Cure, Finding, NeedsHuman, Observation, Remedy, Severity

DEFAULT_WIDTH = 32  # alembic makes the column VARCHAR(32)


def find(seen: Observation) -> Iterator[Finding]:
    """Certain when the length is that of a column, likely when it could be typed short."""
    table = seen.version_table
    cut = {r.value: r.id for r in rows.rows(seen) if r.kind == "truncated" and r.value}
    if table is None or not cut:
        return
    sure = all(len(value) in (DEFAULT_WIDTH, table.width) for value in cut if value)
    said = "; ".join(f"'{value}', which is {id} cut off" for value, id in cut.items())
    yield Finding(
        code="MD406",
        subject=table.label,
        message=f"{table.label} holds {said}: alembic shows it as healthy, and the next upgrade "
        "adds a second row instead of moving this one",
        help="Write the whole id before anybody runs an upgrade.",
        certainty="certain" if sure else "likely",
        evidence=(rows.as_stored(table),),
    )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """The whole id in place of its beginning; the column is widened first where it must be."""
    table = seen.version_table
    if table is None:
        return NeedsHuman(finding=finding, why="the version table has gone")
    whole = rows.mended(rows.rows(seen), ("truncated",))
    widen = rows.widening(table, seen.history)
    return Remedy(
        finding=finding,
        key="whole",
        title="write the whole id",
        steps=(*((widen,) if widen else ()), rows.restamp(table, whole)),
    )


CHECK = Check(code="MD406", name="truncated-row", severity=Severity.ERROR, find=find, remedy=remedy)
