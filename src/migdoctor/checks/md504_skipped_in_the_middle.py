"""MD504: a recorded revision is wholly missing while later ones ran (incidents 26, 21)."""

from collections.abc import Iterator

from migdoctor.cures import rerun, standing
from migdoctor.model import Check, Cure, Finding, Observation, Severity


def find(seen: Observation) -> Iterator[Finding]:
    """Somebody put a revision below one that this database had passed."""
    table = seen.version_table
    if table is None or not seen.stamped or not standing.recognised(seen):
        return
    told = standing.proven(seen)
    if not told.skipped:
        return
    many = "1 revision" if len(told.skipped) == 1 else f"{len(told.skipped)} revisions"
    yield Finding(
        code="MD504",
        subject=table.label,
        message=f"{many} in the middle never ran, later ones did: {rerun.listed(told.skipped)}; "
        "alembic takes them for done and will not run them",
        help="Run their statements, and only theirs; leave the row where it is.",
        certainty="likely" if told.certainty == "certain" else told.certainty,
        evidence=(standing.how_known(seen), rerun.evidence(seen, told.skipped)),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Exactly the recorded statements of exactly these revisions, in order."""
    told = standing.proven(seen)
    return rerun.run_again(finding, seen, told.skipped, told)


CHECK = Check(
    code="MD504", name="skipped-in-the-middle", severity=Severity.ERROR, find=find, remedy=remedy
)
