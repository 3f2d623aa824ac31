"""MD305: an enum type that a migration left behind and nothing uses (incident 47)."""

import re
from collections.abc import Iterator

from migdoctor.cures import origin
from migdoctor.facts import FactKey, UnusedEnum
from migdoctor.model import (
    Check,
    Evidence,
    Finding,
    Guard,
    Observation,
    Remedy,
    Severity,
    Sql,
    literal,
    quoted,
)


def orphans(seen: Observation) -> dict[str, UnusedEnum]:
    """Unused types that the history knows and does not want here, by subject.

    A type that no revision makes is somebody's own (MD601 shows it). One that a pending revision
    uses without making it is waited for.
    """
    wanted = seen.timeline.state(seen.history.closure(seen.stamped) & seen.timeline.units.keys())
    return {
        f"{enum.key.schema}.{enum.key.name}": enum
        for enum in seen.health.enums
        if enum.key not in wanted
        and enum.key in seen.timeline.touched
        and not _awaited(seen, enum.key)
    }


def _awaited(seen: Observation, key: FactKey) -> bool:
    """Whether some pending revision uses the type and none of them makes it."""
    word = re.compile(rf"(?<!\w){re.escape(key.name)}(?!\w)")
    uses = False
    for id in origin.pending(seen):
        for statement in seen.timeline.revisions[id]:
            if key in statement.added:
                return False
            uses = uses or any(
                k.kind == "column" and word.search(v) for k, v in statement.added.items()
            )
    return uses


def _makers(seen: Observation, key: FactKey) -> list[str]:
    return [
        id
        for id in origin.pending(seen)
        if any(key in statement.added for statement in seen.timeline.revisions[id])
    ]


def find(seen: Observation) -> Iterator[Finding]:
    """Certain: pg_depend has nothing that uses it, and the replay has no such type here."""
    for subject, enum in orphans(seen).items():
        makers = _makers(seen, enum.key)
        what = (
            f"{makers[0]} will make it and stop with 'type \"{enum.key.name}\" already exists'"
            if makers
            else "the next revision that makes it stops with 'already exists'"
        )
        yield Finding(
            code="MD305",
            subject=subject,
            message=f"enum type {subject} is left over: nothing uses it, and the history has none "
            f"at this place; {what}",
            help="A downgrade that drops the table has to drop the type as well: add "
            "op.execute('DROP TYPE ...') to it.",
            evidence=(
                Evidence(title="its labels", text=", ".join(enum.labels)),
                Evidence(title="to ask again", text=_uses(enum)),
                *origin.evidence(seen, enum.key.name),
            ),
            **origin.place(seen, enum.key.name),
        )


def _uses(enum: UnusedEnum) -> str:
    """A count of what depends on the type or on its array, without the array itself."""
    return (
        "SELECT count(*) FROM pg_catalog.pg_type t JOIN pg_catalog.pg_depend d "
        "ON d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) "
        "AND NOT (d.classid = d.refclassid AND d.objid = t.typarray) "
        f"WHERE t.oid = to_regtype({literal(quoted(enum.key.schema, enum.key.name))})"
    )


def remedy(finding: Finding, seen: Observation) -> Remedy:
    """Drop it, never with CASCADE: that would drop columns."""
    enum = orphans(seen)[finding.subject]
    name = quoted(enum.key.schema, enum.key.name)
    labels = ", ".join(literal(label) for label in enum.labels)
    return Remedy(
        finding=finding,
        key="drop",
        title=f"drop the unused type {finding.subject}",
        steps=(
            Sql(
                run=f"DROP TYPE {name}",
                undo=(f"CREATE TYPE {name} AS ENUM ({labels})",),
                touches=f"type {finding.subject}",
                guard=Guard(
                    query=_uses(enum), answer=0, because=f"nothing may use {finding.subject}"
                ),
            ),
        ),
    )


CHECK = Check(
    code="MD305",
    name="orphan-enum-type",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
