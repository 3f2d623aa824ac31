"""MD201: a file in a version location cannot be loaded as a revision (incidents 32, 34)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

HELP = {
    "syntax": "Mend the file; the database is not touched by this.",
    "encoding": "Save the file as UTF-8, or name its encoding in the first line.",
    "binary": "Restore the file from version control.",
    "missing": "Move a helper module out of the versions folder, or complete the identifiers.",
    "unreadable": "Give this user the right to read it, or mend the link.",
}


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each file; files with computed identifiers are MD212."""
    for broken in seen.history.broken:
        if broken.kind == "dynamic":
            continue
        line = f" line {broken.line}" if broken.line else ""
        yield Finding(
            code="MD201",
            subject=broken.path.name,
            message=f"{broken.path.name}{line}: {broken.text}. Every alembic command loads every "
            "revision file and stops at this one",
            help=HELP[broken.kind],
            evidence=(Evidence(title=f"{broken.path}{line}", text=_known(broken.id)),),
            path=broken.path,
            line=broken.line,
        )


def _known(id: str | None) -> str:
    return f"by its text it is revision {id}" if id else "which revision it is cannot be told"


CHECK = Check(
    code="MD201",
    name="unparsable-revision-file",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "only a person knows what the file was meant to say; compare it with version control and "
        "never delete it, for a database may be at that revision"
    ),
)
