"""MD301: a failed batch left its `_alembic_tmp_*` table beside an intact original (37, 38)."""

import difflib
import hashlib
import re
from collections.abc import Iterator

from migdoctor.facts import TmpTable
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

CUT = 50  # batch mode cuts its name for the table here (alembic, ApplyBatchImpl._calc_temp_name)


def orphans(seen: Observation) -> dict[str, TmpTable]:
    """Tmp tables by name whose rows are all elsewhere: none here, or as many in the original.

    The counts decide, never the name or the error text (decision table of incident 38).
    """
    return {
        tmp.name: tmp
        for tmp in seen.tmp_tables
        if tmp.original_rows is not None and tmp.original_rows >= tmp.rows
    }


def find(seen: Observation) -> Iterator[Finding]:
    """Empty: certain. Full beside a full original: likely, as only the counts were compared."""
    for tmp in orphans(seen).values():
        what = "is empty" if tmp.rows == 0 else f"holds {tmp.rows} rows"
        yield Finding(
            code="MD301",
            subject=tmp.name,
            message=f"a failed migration left {tmp.name}: it {what}, and {tmp.original} is there "
            f"with {tmp.original_rows} rows; the next upgrade stops with "
            f"'table {tmp.name} already exists'",
            help=f"After the cure look why the batch failed: rows of {tmp.original} that break "
            "the new rule make it fail again."
            if tmp.rows == 0
            else f"Compare the two before you drop one: the rows of {tmp.original} count.",
            certainty="certain" if tmp.rows == 0 else "likely",
            evidence=(
                Evidence(
                    title="rows, by SELECT count(*)",
                    text=f"{tmp.name}: {tmp.rows}\n{tmp.original}: {tmp.original_rows}",
                ),
                Evidence(title=f"what the batch wanted of {tmp.original}", text=_wish(tmp, seen)),
            ),
        )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Drop an empty one (its text is the undo), put a full one aside."""
    tmp = orphans(seen)[finding.subject]
    if tmp.rows == 0:
        return Remedy(
            finding=finding,
            key="drop",
            title=f"drop the empty {tmp.name}",
            steps=(_drop(tmp),),
        )
    if len(_candidates(tmp, seen)) > 1:
        return NeedsHuman(
            finding=finding,
            why=f"the name was cut at {CUT} characters and fits several tables: compare the "
            f"rows of {tmp.name} with {' and '.join(_candidates(tmp, seen))}",
        )
    return Remedy(
        finding=finding,
        key="aside",
        title=f"rename {tmp.name} aside, with its rows",
        steps=_aside(tmp, _name_aside(tmp, seen)),
    )


def _drop(tmp: TmpTable) -> Sql:
    there = f"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND {_is(tmp.original)}"
    return Sql(
        run=f"DROP TABLE {quoted(tmp.name)}",
        undo=(tmp.ddl,),
        touches=f"table main.{tmp.name}",
        guard=Guard(
            query=f"SELECT (SELECT count(*) FROM {quoted(tmp.name)}) || ' rows beside ' || "
            f"({there}) || ' original'",
            answer="0 rows beside 1 original",
            because=f"{tmp.name} is dropped only while it is empty and {tmp.original} is there",
        ),
    )


def _aside(tmp: TmpTable, name: str) -> tuple[Sql, ...]:
    """The legacy rename looks at nothing else, so a view that is broken cannot stop it."""
    old, new = quoted(tmp.name), quoted(name)
    touches = f"table main.{tmp.name}"
    on, off = "PRAGMA legacy_alter_table = ON", "PRAGMA legacy_alter_table = OFF"
    guard = Guard(
        query=f"SELECT (SELECT count(*) FROM {quoted(tmp.original)}) >= "
        f"(SELECT count(*) FROM {old})",
        answer=1,
        because=f"{tmp.original} must have all the rows that {tmp.name} has",
    )
    return (
        Sql(run=on, undo=(off,), touches=touches),
        Sql(
            run=f"ALTER TABLE {old} RENAME TO {new}",
            undo=(f"ALTER TABLE {new} RENAME TO {old}",),
            touches=touches,
            guard=guard,
        ),
        Sql(run=off, undo=(on,), touches=touches),
    )


def _name_aside(tmp: TmpTable, seen: Observation) -> str:
    """A name that no earlier run has taken; the same in every plan for the same database."""
    taken = {q.name for q in seen.quarantined}
    for number in range(len(taken) + 1):
        run = hashlib.sha256(f"{tmp.name}/{number}".encode()).hexdigest()[:8]
        name = f"_migdoctor_q_{run}_{tmp.original}"
        if name not in taken:
            break
    return name


def _candidates(tmp: TmpTable, seen: Observation) -> list[str]:
    """The tables that a tmp table of this name may belong to."""
    if len(tmp.name) < CUT:
        return [tmp.original]
    begin = tmp.name.removeprefix("_alembic_tmp_").lower()
    return sorted(name for _, name in seen.schema.tables if name.lower().startswith(begin))


def _is(name: str) -> str:
    return f"lower(name) = lower({literal(name)})"


def _wish(tmp: TmpTable, seen: Observation) -> str:
    """The lines in which the text of the tmp table differs from that of the original."""
    now = seen.schema.sql.get(("table", tmp.original), "")
    changed = difflib.ndiff(_lines(now), _lines(tmp.ddl))
    return "\n".join(line for line in changed if line[0] in "+-") or "no difference in the text"


def _lines(ddl: str) -> list[str]:
    """Columns and constraints of a CREATE TABLE, a line each."""
    body = ddl[ddl.find("(") + 1 : ddl.rfind(")")]
    parts = re.split(r",(?![^(]*\))", body)
    return [" ".join(part.split()) for part in parts if part.strip()]


CHECK = Check(
    code="MD301",
    name="orphan-tmp-table",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
    dialects=("sqlite",),
)
