"""MD409: nothing stops the version table from holding a revision twice (incident 10)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.facts import VersionTable
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


def find(seen: Observation) -> Iterator[Finding]:
    """alembic makes the table with the primary key <table>_pkc; restores and hand work lose it."""
    table = seen.version_table
    if table is None or table.primary_key:
        return
    yield Finding(
        code="MD409",
        subject=table.label,
        message=f"{table.label} has no primary key: nothing stops a second row for the same "
        "revision, and with two the next upgrade fails",
        help="Add the primary key that alembic makes.",
        evidence=(Evidence(title="the table as it is", text=table.ddl or "(no text stored)"),),
    )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Add the key; on SQLite, which cannot add one, by building the small table anew."""
    table = seen.version_table
    if table is None:
        return NeedsHuman(finding=finding, why="the version table has gone")
    if None in table.rows or len(set(table.rows)) < len(table.rows):
        return NeedsHuman(
            finding=finding,
            why="a key needs distinct rows without NULL: it comes after MD403 and MD405",
        )
    if seen.dialect == "postgresql":
        steps: tuple[Sql, ...] = (_constraint(table),)
    elif table.ddl is not None and ")" in table.ddl:
        steps = _rebuild(table, table.ddl)
    else:
        return NeedsHuman(finding=finding, why="the text of the table could not be read")
    return Remedy(finding=finding, key="key", title="add the primary key", steps=steps)


def _constraint(table: VersionTable) -> Sql:
    """A primary key makes its column NOT NULL, which stays when the key goes; undone as well."""
    alter, key = f"ALTER TABLE {quoted(table.schema, table.name)}", quoted(f"{table.name}_pkc")
    undo = [f"{alter} DROP CONSTRAINT {key}"]
    if table.ddl is not None and "NOT NULL" not in table.ddl.upper():
        undo.append(f"{alter} ALTER COLUMN version_num DROP NOT NULL")
    return Sql(
        run=f"{alter} ADD CONSTRAINT {key} PRIMARY KEY (version_num)",
        undo=tuple(undo),
        touches=rows.touches(table),
    )


def _rebuild(table: VersionTable, ddl: str) -> tuple[Sql, ...]:
    """Copy aside, drop, create with the key, copy back: same text, same further columns.

    No ALTER TABLE RENAME, which fails when any view of the database is broken. Undone backwards:
    the key goes, the rows of that moment stay.
    """
    name, aside = quoted(table.name), quoted(f"_migdoctor_copy_{table.name}")
    keyed = (
        f"{ddl[: ddl.rindex(')')].rstrip()}, "
        f"CONSTRAINT {quoted(f'{table.name}_pkc')} PRIMARY KEY (version_num)"
        f"{ddl[ddl.rindex(')') :]}"
    )
    copy, drop = f"CREATE TABLE {aside} AS SELECT * FROM {name}", f"DROP TABLE {aside}"
    fill = f"INSERT INTO {name} SELECT * FROM {aside}"
    owned = Guard(
        query="SELECT count(*) FROM sqlite_master WHERE type IN ('index', 'trigger') "
        f"AND sql IS NOT NULL AND lower(tbl_name) = lower({literal(table.name)})",
        answer=0,
        because="an index or trigger of the version table would be lost",
    )

    def step(run: str, *undo: str, count: int | None = None, guard: Guard | None = None) -> Sql:
        return Sql(run=run, undo=undo, touches=rows.touches(table), rows=count, guard=guard)

    return (
        step(copy, drop, guard=owned),
        step(f"DROP TABLE {name}", ddl, fill),
        step(keyed, f"DROP TABLE {name}"),
        step(fill, count=len(table.rows)),
        step(drop, copy),
    )


CHECK = Check(
    code="MD409",
    name="version-table-without-primary-key",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
