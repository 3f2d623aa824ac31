"""MD704: the operating system sorts text otherwise than when the indexes were built (71)."""

from collections.abc import Iterator

from migdoctor.facts import StaleCollation
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Sql,
    quoted,
)

SHOWN = 20


def stale(seen: Observation) -> dict[str, StaleCollation]:
    """Collations with another version than recorded, by subject."""
    return {
        f"collation {one.name}" if one.name else "database": one for one in seen.health.collations
    }


def find(seen: Observation) -> Iterator[Finding]:
    """Likely: the versions differ, whether an index is really out of order was not looked at."""
    for subject, one in stale(seen).items():
        number = len(one.indexes)
        text = "\n".join(one.indexes[:SHOWN]) + f"\n... and {number - SHOWN} more" * (
            number > SHOWN
        )
        yield Finding(
            code="MD704",
            subject=subject,
            message=f"{one.name or 'the collation of the database'} had version {one.recorded} "
            f"when its {number} index{'es were' if number != 1 else ' was'} built and has "
            f"{one.actual} now: they may be out of order, so that rows are not found and "
            "duplicates get in",
            help="Build the indexes anew first, then refresh the version; the other way round "
            "hides the damage.",
            certainty="likely",
            evidence=(Evidence(title="indexes on text in that order", text=text),)
            if number
            else (),
        )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """By choice, as it may take hours: every index anew without a long lock, then the version."""
    one = stale(seen)[finding.subject]
    database = quoted(seen.identity.database)
    schema, _, name = one.name.partition(".")
    target = f"COLLATION {quoted(schema, name)}" if one.name else f"DATABASE {database}"
    verb = "REFRESH VERSION" if one.name else "REFRESH COLLATION VERSION"
    if not one.name and not one.indexes:
        return NeedsHuman(
            finding=finding, why=f"no index depends on it: ALTER {target} {verb} by its owner"
        )
    steps = [
        Sql(
            run=f"REINDEX INDEX CONCURRENTLY {quoted(*index.split('.', 1))}",
            undo=(),
            touches=f"index {index}",
            in_transaction=False,
        )
        for index in one.indexes
    ]
    steps.append(Sql(run=f"ALTER {target} {verb}", undo=(), touches=finding.subject))
    return Remedy(
        finding=finding,
        key="reindex",
        title=f"build {len(one.indexes)} indexes anew, then refresh the version",
        steps=tuple(steps),
        default=False,
    )


CHECK = Check(
    code="MD704",
    name="collation-version",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
