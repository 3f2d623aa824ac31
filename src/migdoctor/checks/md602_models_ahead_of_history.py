"""MD602: the models want what no revision makes (incidents 68, 79)."""

from collections.abc import Iterator

from migdoctor.cures import standing
from migdoctor.errors import NotApplicable
from migdoctor.model import (
    Check,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Severity,
)

SHOWN = 40


def find(seen: Observation) -> Iterator[Finding]:
    """Only where the database is at head and exactly as its history: else it is drift (MD601)."""
    position = seen.position
    if not seen.at_head or any(id in seen.history.twins for id in position.applied):
        raise NotApplicable("models", "the database is not at head")
    told = standing.proven(seen)
    exact = told.verdict == "at-head" and position.certainty == "certain"
    if not exact or standing.differences(seen, told.state):
        raise NotApplicable("models", "the database is not exactly as its history at head")
    drifts = standing.model_drifts(seen)
    if not drifts:
        return
    lines = [drift.text for drift in drifts[:SHOWN]]
    if (more := len(drifts) - SHOWN) > 0:
        lines.append(f"... and {more} more")
    places = "1 place" if len(drifts) == 1 else f"{len(drifts)} places"
    yield Finding(
        code="MD602",
        subject="models",
        message=f"models and history differ in {places}: the database is exactly as the last "
        "revision makes it, and the models want something else; code that uses it fails",
        help=_advice(seen),
        evidence=(
            Evidence(title="alembic's own comparison", text="\n".join(lines)),
            standing.how_known(seen),
        ),
    )


def _advice(seen: Observation) -> str:
    if recorded := standing.adopted(seen):
        return f"Change the models as revision {recorded} shows; it records what the database has."
    if all(drift.op.startswith("remove") for drift in seen.models.drifts):
        return "The models lack what a revision makes: put it back, or write one that drops it."
    return "Write the missing revision: alembic revision --autogenerate; read it before use."


def remedy(finding: Finding, seen: Observation) -> NeedsHuman:
    """A new revision, or new models, is a change of the code, not a repair of this database."""
    return NeedsHuman(finding=finding, why=finding.help[0].lower() + finding.help[1:].rstrip("."))


CHECK = Check(
    code="MD602",
    name="models-ahead-of-history",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
