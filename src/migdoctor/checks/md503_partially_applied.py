"""MD503: a revision of which only a first part ran (incidents 41, 42, 50)."""

from collections.abc import Iterator

from migdoctor.cures import partly, rerun, standing, statements
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Stamp,
)
from migdoctor.timeline import Partial, Unit


def find(seen: Observation) -> Iterator[Finding]:
    """Rows that name no revision, and tables without any, are cured first."""
    table = seen.version_table
    if table is None or not standing.recognised(seen) or (seen.schema.tables and not seen.rows):
        return
    told = standing.proven(seen)
    if told.certainty == "unknown":
        return
    for part in told.partial:
        yield Finding(
            code="MD503",
            subject=part.id,
            message=f"{part.id} ran in part: {part.applied} of {part.total} schema changes are "
            "there; the next upgrade starts it from its beginning and stops at the first of them",
            help="Finish it (the missing statements only), or take back what is there.",
            certainty="likely" if told.certainty == "certain" else told.certainty,
            evidence=(standing.how_known(seen), _statements(seen, part)),
            path=seen.history.by_id[part.id].path,
            line=seen.history.by_id[part.id].line,
        )


def _statements(seen: Observation, part: Partial) -> Evidence:
    text = "\n".join(f"{state}: {sql}" for sql, state in partly.statements_of(seen, part))
    return Evidence(title=f"statement by statement, {part.id}", text=text)


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Forward by default; back where that is provably exact."""
    told = standing.proven(seen)
    part = next(p for p in told.partial if p.id == finding.subject)
    if seen.dialect == "sqlite" and seen.tmp_tables:
        why = "a leftover of the failed upgrade is in the way: treat it first (MD301, MD302)"
        return (NeedsHuman(finding=finding, why=why),)
    if told.behind and set(told.behind) & seen.history.ancestors(part.id):
        why = f"{rerun.listed(told.behind)} must be recorded before it (MD502)"
        return (NeedsHuman(finding=finding, why=why),)
    cures = [_finish(finding, seen, part, told), _rollback(finding, seen, part, told)]
    return tuple(cure for cure in cures if cure is not None)


def _finish(finding: Finding, seen: Observation, part: Partial, told: standing.Standing) -> Cure:
    rest = partly.rest(seen, part)
    if statements.untold(rest):
        path = seen.history.by_id[part.id].path
        why = f"what {path.name} still has to do was not recorded word for word: do it by hand"
        return NeedsHuman(finding=finding, why=why)
    asks = any(statements.asks(piece) for piece in rest)
    made = statements.Made(partly.own_tables(seen, part))
    table = seen.version_table
    assert table is not None
    stamp: tuple[Stamp, ...] = ()
    if part.id not in seen.history.closure(seen.stamped):
        stamp = statements.stamps((part.id,), (table.schema, table.name), seen.rows, seen)
    data = ", data statements too" if asks else ""
    return Remedy(
        finding=finding,
        key="finish",
        title=f"run what is missing of {part.id}{data}{', then record it' if stamp else ''}",
        steps=(*statements.steps(rest, seen, made), *stamp),
        default=told.exact and not asks,
    )


def _rollback(
    finding: Finding, seen: Observation, part: Partial, told: standing.Standing
) -> Remedy | None:
    """None where rows may have been changed before, or something cannot be taken back."""
    begun = partly.begun(seen, part)
    units = [piece for piece in begun if isinstance(piece, Unit)]
    recorded = part.id in seen.history.closure(seen.stamped)
    if recorded or not told.exact or any(statements.asks(piece) for piece in begun):
        return None
    steps = statements.taken_back(units, seen)
    if not steps:
        return None
    return Remedy(
        finding=finding,
        key="rollback",
        title=f"take back what is there of {part.id}, if nobody has put anything into it",
        steps=steps,
        default=False,
    )


CHECK = Check(
    code="MD503", name="partially-applied", severity=Severity.ERROR, find=find, remedy=remedy
)
