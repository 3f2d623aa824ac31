"""MD201: a file in a version location cannot be loaded as a revision (incidents 32, 34)."""

from collections.abc import Iterator

from migdoctor.cures import broken
from migdoctor.model import Check, Cure, Evidence, Finding, Observation, Severity

HELP = {
    "syntax": "Mend the file; the database is not touched by this.",
    "encoding": "Save the file as UTF-8, or name its encoding in the first line.",
    "binary": "Restore the file from version control.",
    "missing": "Move a helper module out of the versions folder, or complete the identifiers.",
    "unreadable": "Give this user the right to read it, or mend the link.",
}


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each file; files with computed identifiers are MD212."""
    for file in seen.history.broken:
        if file.kind == "dynamic":
            continue
        line = f" line {file.line}" if file.line else ""
        yield Finding(
            code="MD201",
            subject=file.path.name,
            message=f"{file.path.name}{line}: {file.text}. Every alembic command loads every "
            "revision file and stops at this one",
            help=HELP[file.kind],
            evidence=(Evidence(title=f"{file.path}{line}", text=_known(file.id)),),
            path=file.path,
            line=file.line,
        )


def _known(id: str | None) -> str:
    return f"by its text it is revision {id}" if id else "which revision it is cannot be told"


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Its last version in git that can be loaded, if nothing is lost by it; see `cures.broken`."""
    file = next(b for b in seen.history.broken if b.path == finding.path)
    return broken.cures(finding, seen, file)


CHECK = Check(
    code="MD201",
    name="unparsable-revision-file",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
