"""MD302: an `_alembic_tmp_*` table is the only or the fuller copy of a table (incident 38)."""

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
CREATE = re.compile(
    r"\s*CREATE\s+(?:UNIQUE\s+)?(INDEX|TRIGGER)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r"""("(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\]|[\w$]+)""",
    re.IGNORECASE,
)
COLUMNS = re.compile(r"\sON\s[^(]*\((.*)\)", re.IGNORECASE | re.DOTALL)


def holders(seen: Observation) -> dict[str, TmpTable]:
    """Tmp tables by name that have rows which the original does not have."""
    return {
        tmp.name: tmp
        for tmp in seen.tmp_tables
        if tmp.rows > 0 and (tmp.original_rows is None or tmp.original_rows < tmp.rows)
    }


def find(seen: Observation) -> Iterator[Finding]:
    """The only copy, or the disguised case: the original made anew by the application."""
    for tmp in holders(seen).values():
        yield _only_copy(tmp) if tmp.original_rows is None else _fuller_copy(tmp)


def remedy(finding: Finding, seen: Observation) -> Cure | tuple[Cure, ...]:
    """Give the only copy its name back, with every row; never a choice between two copies."""
    tmp = holders(seen)[finding.subject]
    if tmp.original_rows is not None:
        return NeedsHuman(
            finding=finding,
            why=f"{tmp.name} has {tmp.rows} rows and {tmp.original} {tmp.original_rows}: look at "
            "both, stop the application, and decide which rows count; drop neither",
        )
    if _name_was_cut(tmp):
        return NeedsHuman(
            finding=finding,
            why=f"the name was cut at {CUT} characters, so the whole name of the table is not "
            f"known: ALTER TABLE {quoted(tmp.name)} RENAME TO it",
        )
    rescue = _rename(tmp)
    again = tuple(_create(sql, tmp) for sql in tmp.lost if _can_create(sql, tmp))
    with_indexes = Remedy(
        finding=finding,
        key="rescue",
        title=f"rename {tmp.name} to {tmp.original}, with every row",
        steps=rescue + again,
    )
    if not again:
        return with_indexes
    alone = Remedy(
        finding=finding,
        key="table-only",
        title=f"rename {tmp.name} to {tmp.original}, without its indexes",
        steps=rescue,
        default=False,
    )
    return with_indexes, alone


# --- what is said -------------------------------------------------------------------------------


def _only_copy(tmp: TmpTable) -> Finding:
    views = ", ".join(name for name, _sql in tmp.blocking_views)
    return Finding(
        code="MD302",
        subject=tmp.name,
        message=f"{tmp.name} is the only copy of {tmp.original}: {tmp.rows} rows; {tmp.original} "
        "itself is gone, and to drop the tmp table is to lose them all",
        help=f"Stop the application first: one that makes missing tables would make {tmp.original} "
        "anew, empty. Triggers of the table, and indexes that the models do not have, went with "
        "it and are written nowhere: re-create them by hand."
        + (f" Every batch on it fails while {views} names it: drop it before." if views else ""),
        evidence=(
            _counts(tmp),
            Evidence(title=f"indexes and triggers of {tmp.original}", text=_lost(tmp)),
            *((Evidence(title="views that name it and work again", text=views),) if views else ()),
        ),
    )


def _fuller_copy(tmp: TmpTable) -> Finding:
    return Finding(
        code="MD302",
        subject=tmp.name,
        message=f"{tmp.name} holds {tmp.rows} rows, {tmp.original} only {tmp.original_rows}: the "
        "migration died after it had dropped the table, and something made it anew",
        help="Drop neither of them, whatever the error message says; stop the application and "
        "compare the rows.",
        evidence=(_counts(tmp),),
    )


def _counts(tmp: TmpTable) -> Evidence:
    original = "no such table" if tmp.original_rows is None else tmp.original_rows
    return Evidence(
        title="rows, by SELECT count(*)", text=f"{tmp.name}: {tmp.rows}\n{tmp.original}: {original}"
    )


def _lost(tmp: TmpTable) -> str:
    lines = [
        f"{'made again' if _can_create(sql, tmp) else 'does not fit'}, from {tmp.lost_from}: {sql}"
        for sql in tmp.lost
    ]
    return "\n".join(lines) or "none is known; what there was cannot be read from this database"


# --- what is done -------------------------------------------------------------------------------


def _name_was_cut(tmp: TmpTable) -> bool:
    """A cut name says only how the name of the table begins."""
    return len(tmp.name) >= CUT and tmp.name == f"_alembic_tmp_{tmp.original}"


def _rename(tmp: TmpTable) -> tuple[Sql, ...]:
    """The legacy rename: the plain one fails on any view or trigger that names the lost table.

    It leaves views, triggers and the foreign keys of other tables as they are; all of them say
    the original's name, which is right again afterwards.
    """
    old, new, touches = quoted(tmp.name), quoted(tmp.original), f"table main.{tmp.original}"
    on, off = "PRAGMA legacy_alter_table = ON", "PRAGMA legacy_alter_table = OFF"
    called = f"lower(name) = lower({literal(tmp.original)})"
    before = Guard(
        query=f"SELECT (SELECT count(*) FROM {old}) || ' rows beside ' || "
        f"(SELECT count(*) FROM sqlite_master WHERE {called}) || ' original'",
        answer=f"{tmp.rows} rows beside 0 original",
        because=f"{tmp.name} must be the only copy, with the rows that were counted",
    )
    after = Guard(
        query=f"SELECT count(*) FROM {new}",
        answer=tmp.rows,
        because=f"{tmp.original} must have every row of {tmp.name}",
    )
    return (
        Sql(run=on, undo=(off,), touches=touches),
        Sql(
            run=f"ALTER TABLE {old} RENAME TO {new}",
            undo=(f"ALTER TABLE {new} RENAME TO {old}",),
            touches=touches,
            guard=before,
        ),
        Sql(run=off, undo=(on,), touches=touches, guard=after),
    )


def _create(sql: str, tmp: TmpTable) -> Sql:
    found = CREATE.match(sql)
    undo = (f"DROP {found[1].upper()} {found[2]}",) if found else None
    return Sql(run=sql, undo=undo, touches=f"table main.{tmp.original}")


def _can_create(sql: str, tmp: TmpTable) -> bool:
    """The statement is understood, and an index names columns that the table has by now."""
    found = CREATE.match(sql)
    columns = COLUMNS.search(sql) if found and found[1].upper() == "INDEX" else None
    if not found or not columns:
        return found is not None
    parts = filter(None, map(str.split, columns[1].split(",")))
    names = [words[0].strip('"`[]').lower() for words in parts]
    have = {column.lower() for column in tmp.columns}
    return all(name in have or not re.fullmatch(r"[\w$]+", name) for name in names)


CHECK = Check(
    code="MD302",
    name="tmp-table-holds-data",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
    dialects=("sqlite",),
)
