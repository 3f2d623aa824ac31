"""MD309: a table is gone and the tmp table of its batch is empty: nothing to rescue (38)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


def find(seen: Observation) -> Iterator[Finding]:
    """Original missing and no row in the tmp table."""
    for tmp in seen.tmp_tables:
        if tmp.rows or tmp.original_rows is not None:
            continue
        yield Finding(
            code="MD309",
            subject=tmp.name,
            message=f"{tmp.original} is gone and {tmp.name}, which should be its copy, is empty: "
            "there is nothing in this database to rescue its rows from",
            help=f"Stop the application, keep the file as it is, and restore {tmp.original} from "
            "a backup.",
            evidence=(
                Evidence(
                    title="rows, by SELECT count(*)",
                    text=f"{tmp.name}: 0\n{tmp.original}: no such table",
                ),
                Evidence(title=f"columns of {tmp.name}", text=", ".join(tmp.columns)),
            ),
        )


CHECK = Check(
    code="MD309",
    name="table-lost",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "restore the table from a backup; only where you know that it had no rows may the empty "
        "tmp table be renamed in its place"
    ),
    dialects=("sqlite",),
)
