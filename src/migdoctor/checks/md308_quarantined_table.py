"""MD308: a table that an earlier run of migdoctor put aside is still there (incident 56)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human, quoted


def find(seen: Observation) -> Iterator[Finding]:
    """Name each one with its rows; it is no part of the schema and no drift."""
    for table in seen.quarantined:
        rows = "an unknown number of" if table.rows is None else str(table.rows)
        name = quoted(table.schema, table.name)
        yield Finding(
            code="MD308",
            subject=table.name,
            message=f"an earlier run put {table.name} aside: {rows} rows that nobody uses",
            help=f"Compare it with the table it came from; then: DROP TABLE {name}",
            evidence=(Evidence(title=f"SELECT count(*) FROM {name}", text=rows),),
        )


CHECK = Check(
    code="MD308",
    name="quarantined-table",
    severity=Severity.INFO,
    find=find,
    remedy=leave_to_human("it may hold rows that somebody needs: only a person may drop it"),
)
