"""MD702: rows whose foreign key leads nowhere (incidents 39, 72).

SQLite enforces foreign keys only where a connection asks for it; PostgreSQL does not while the
triggers of the key are switched off. A key that is NOT VALID is told by MD304.
"""

from collections.abc import Iterator

from migdoctor.errors import NotObserved
from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each foreign key; blind where there is none and some could not be checked."""
    waiting = (
        {(f"{u.key.schema}.{u.key.table}", u.key.name) for u in seen.health.unvalidated}
        if seen.has("health")
        else set()
    )
    gone = _elsewhere(seen)
    blind = [f"{o.table}: {o.why_not}" for o in seen.orphans if o.count is None]
    if blind and not any(o.count for o in seen.orphans):
        raise NotObserved("orphans", "; ".join(blind))
    for orphans in seen.orphans:
        if not orphans.count or (orphans.table, orphans.constraint) in waiting:
            continue
        if orphans.parent in gone:
            continue
        number = f"{orphans.count} row{'s' * (orphans.count > 1)} of {orphans.table}"
        yield Finding(
            code="MD702",
            subject=orphans.constraint,
            message=f"{number} {'have' if orphans.count > 1 else 'has'} no parent"
            f"{f' in {orphans.parent}' if orphans.parent else ''} "
            f"(foreign key {orphans.constraint}): a revision that rebuilds or validates the table "
            "will fail on it",
            help="Find out where the parents went before anything else: they may be in a backup.",
            evidence=(Evidence(title="some of them", text=orphans.shown),) if orphans.shown else (),
        )


def _elsewhere(seen: Observation) -> set[str]:
    """Parents whose rows are in a leftover, or that are not there at all: told by others.

    MD301, MD302 and MD309 bring the rows back, the checks of the position the table.
    """
    parents = {orphans.parent for orphans in seen.orphans if orphans.parent}
    there = {table for _, table in seen.schema.tables} if seen.has("schema") else parents
    tmp = {t.original for t in seen.tmp_tables} if seen.has("tmp_tables") else set()
    return {p for p in parents if p not in there or p in tmp}


CHECK = Check(
    code="MD702",
    name="foreign-key-violations",
    severity=Severity.WARNING,
    find=find,
    remedy=leave_to_human(
        "which is wrong, the row or the missing parent, only you know; migdoctor deletes neither"
    ),
)
