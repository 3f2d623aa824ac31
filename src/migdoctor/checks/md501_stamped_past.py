"""MD501: revisions that are recorded and never ran (incidents 17, 18, 29)."""

from collections.abc import Iterator

from migdoctor.cures import rerun, standing
from migdoctor.model import Check, Cure, Finding, NeedsHuman, Observation, Severity


def find(seen: Observation) -> Iterator[Finding]:
    """Rows that name no revision of a file are cured first (MD404 to MD410)."""
    table = seen.version_table
    if table is None or not seen.stamped or not standing.recognised(seen):
        return
    told = standing.proven(seen)
    if not told.past:
        return
    many = "1 revision was" if len(told.past) == 1 else f"{len(told.past)} revisions were"
    yield Finding(
        code="MD501",
        subject=table.label,
        message=f"{many} recorded and never ran: {rerun.listed(told.past)}; the schema is at "
        f"{rerun.listed(told.located) or 'the beginning'}, and upgrade will not run them",
        help="Run their statements, and only theirs; leave the row where it is.",
        certainty="likely" if told.certainty == "certain" else told.certainty,
        evidence=(standing.how_known(seen), rerun.evidence(seen, told.past)),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Exactly the recorded statements of exactly these revisions, in order."""
    told = standing.proven(seen)
    if told.partial:
        why = f"{told.partial[0].id} ran in part and comes before them: finish it first (MD503)"
        return (NeedsHuman(finding=finding, why=why),)
    return rerun.run_again(finding, seen, told.past, told)


CHECK = Check(code="MD501", name="stamped-past", severity=Severity.ERROR, find=find, remedy=remedy)
