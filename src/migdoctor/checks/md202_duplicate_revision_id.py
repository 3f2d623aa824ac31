"""MD202: two revision files claim one id, and one of them never runs (incident 28)."""

from collections.abc import Iterator

from migdoctor.cures import twins
from migdoctor.graph import Revision
from migdoctor.model import Check, Cure, Evidence, Finding, Observation, Severity


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each id; alembic itself says so in a warning only."""
    for id, files in seen.history.twins.items():
        *shadowed, counts = files
        yield Finding(
            code="MD202",
            subject=id,
            message=f"{len(files)} files claim revision {id}; alembic keeps {counts.path.name} "
            f"and never runs {', '.join(r.path.name for r in shadowed)}",
            help="Keep the id for the file that ran here; give the other one a new id and put "
            "it on top of the head.",
            evidence=(Evidence(title="in reading order, the last one counts", text=_list(files)),),
            path=shadowed[0].path,
            line=shadowed[0].line,
        )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The twin whose footprint is in the database keeps the id; see `cures.twins`."""
    return twins.cures(finding, seen, finding.subject)


def _list(files: tuple[Revision, ...]) -> str:
    return "\n".join(
        f"{r.path}:{r.line} {r.message or '(no message)'}, after {', '.join(r.down) or 'nothing'}"
        for r in files
    )


CHECK = Check(
    code="MD202",
    name="duplicate-revision-id",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
