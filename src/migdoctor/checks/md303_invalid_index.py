"""MD303: an index that PostgreSQL keeps up and no query uses: a build failed (incidents 44, 45).

A build in progress looks the same for as long as it lasts, so an index on a table that somebody
holds for a build is left alone. A valid index is never meant, whatever its name.
"""

import re
from collections.abc import Iterator

from migdoctor.cures import origin
from migdoctor.facts import WeakIndex
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    Guard,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Sql,
    literal,
    quoted,
)

_STATE = re.compile(r"( INVALID)?( NOT READY)?$")


def weak(seen: Observation) -> dict[str, WeakIndex]:
    """Invalid indexes that nobody is building, by the subject of their finding."""
    return {
        f"{i.key.schema}.{i.key.name}": i
        for i in seen.health.indexes
        if not i.valid and not i.building
    }


def find(seen: Observation) -> Iterator[Finding]:
    """A unique one is an error: what it should keep out is let in."""
    for subject, index in weak(seen).items():
        table = f"{index.key.schema}.{index.key.table}"
        evidence = [Evidence(title="to ask again", text=HOW_TO_LOOK), *_definition(index, seen)]
        evidence += origin.evidence(seen, index.key.name)
        if index.duplicates:
            text = "\n".join(index.duplicates)
            evidence.append(Evidence(title="rows that it cannot take", text=text))
        yield Finding(
            code="MD303",
            subject=subject,
            message=_message(index, table),
            help=_help(index),
            severity=Severity.ERROR if index.unique else None,
            evidence=tuple(evidence),
            **origin.place(seen, index.key.name),
        )


HOW_TO_LOOK = (
    "SELECT indexrelid::regclass, indisvalid, indisready FROM pg_index "
    "WHERE NOT indisvalid OR NOT indisready"
)


def _message(index: WeakIndex, table: str) -> str:
    if index.sibling:
        return (
            f"{index.key.name} is what an interrupted REINDEX CONCURRENTLY left on {table}: "
            f"{index.sibling} is there and valid, this one only slows every write down"
        )
    what = "uniqueness is not enforced" if index.unique else "no query uses it"
    return (
        f"index {index.key.name} on {table} is INVALID: its build failed or was cancelled; {what}, "
        "every write pays for it, and a revision with if_not_exists passes over it"
    )


def _help(index: WeakIndex) -> str:
    if index.duplicates:
        return "Decide which of these rows are right; migdoctor deletes none of them."
    return "The cure takes no lock that stops readers or writers."


def _definition(index: WeakIndex, seen: Observation) -> tuple[Evidence, ...]:
    text = definition(index, seen)
    return (Evidence(title="its definition", text=text),) if text else ()


def definition(index: WeakIndex, seen: Observation) -> str:
    """The statement that the server stores for it, '' where the table could not be read."""
    return _STATE.sub("", seen.schema.facts.get(index.key, "")) if seen.has("schema") else ""


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...] | Cure:
    """Drop it; build it again where its revision is recorded, else the next upgrade does."""
    index = weak(seen)[finding.subject]
    if index.constraint:
        return _reindex(finding, index)
    dropped = Remedy(
        finding=finding,
        key="drop",
        title=f"drop the invalid {index.key.name}",
        steps=(_drop(index),),
        default=bool(index.sibling) or _comes_again(index, seen),
    )
    if dropped.default:
        return dropped
    rebuilt = _rebuild(finding, index, seen)
    return (rebuilt, dropped)


def _comes_again(index: WeakIndex, seen: Observation) -> bool:
    """Its revision is pending: the next upgrade builds it, and would stop at what is there."""
    made = origin.of(seen, index.key.name)
    return made is not None and not origin.recorded(seen, made)


def _rebuild(finding: Finding, index: WeakIndex, seen: Observation) -> Cure:
    if index.unique and index.duplicates is None:
        why = index.why_not or "run without --quick"
        return NeedsHuman(finding=finding, why=f"duplicates could not be counted: {why}")
    if index.duplicates:
        return NeedsHuman(
            finding=finding,
            why="rows break its uniqueness, and which of them are right only you know; "
            "when none is left, run migdoctor fix again",
        )
    text = definition(index, seen)
    if not text:
        return NeedsHuman(finding=finding, why="its definition could not be read")
    made = re.sub(r"^CREATE (UNIQUE )?INDEX ", r"CREATE \1INDEX CONCURRENTLY ", text)
    name = quoted(index.key.schema, index.key.name)
    build = Sql(
        run=made,
        undo=(f"DROP INDEX CONCURRENTLY {name}",),
        touches=_touches(index),
        in_transaction=False,
    )
    return Remedy(
        finding=finding,
        key="rebuild",
        title=f"drop {index.key.name} and build it again from its definition",
        steps=(_drop(index), build),
    )


def _drop(index: WeakIndex) -> Sql:
    """A copy on another server may lack it, hence IF EXISTS. Nothing is lost: no query used it."""
    name = quoted(index.key.schema, index.key.name)
    return Sql(
        run=f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        undo=(),
        touches=_touches(index),
        in_transaction=False,
        guard=Guard(
            query="SELECT count(*) FROM pg_catalog.pg_index "
            f"WHERE indexrelid = to_regclass({literal(name)}) AND indisvalid",
            answer=0,
            because=f"{index.key.name} must still be invalid",
        ),
    )


def _reindex(finding: Finding, index: WeakIndex) -> Remedy:
    """An index that a constraint needs cannot be dropped."""
    name = quoted(index.key.schema, index.key.name)
    return Remedy(
        finding=finding,
        key="reindex",
        title=f"build {index.key.name}, which constraint {index.constraint} needs, anew",
        steps=(
            Sql(
                run=f"REINDEX INDEX CONCURRENTLY {name}",
                undo=(),
                touches=_touches(index),
                in_transaction=False,
            ),
        ),
    )


def _touches(index: WeakIndex) -> str:
    return f"index {index.key.schema}.{index.key.name}"


CHECK = Check(
    code="MD303",
    name="invalid-index",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
