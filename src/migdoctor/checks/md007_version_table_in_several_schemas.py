"""MD007: a wrong search_path has built a second, empty copy of the schema (incident 13).

Several version tables alone are no sickness: tenants and neighbours have their own. What makes it
one are twins of the same tables, all of them empty in one schema and not in another.
"""

from collections.abc import Iterator

from migdoctor.errors import NotObserved
from migdoctor.facts import Copy
from migdoctor.model import (
    Check,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Severity,
    quoted,
)

SHOWN = 20


def real_and_empty(seen: Observation) -> tuple[Copy, tuple[Copy, ...]] | None:
    """The only copy that has rows, and those that have none; None where it is not so clear."""
    empty = tuple(c for c in seen.copies if c.empty)
    full = [c for c in seen.copies if not c.empty]
    return (full[0], empty) if empty and len(full) == 1 else None


def _unknown(copy: Copy) -> bool:
    """Nobody could look into some of its tables, and the others are empty."""
    return not copy.empty and not any(rows for _, rows in copy.tables)


def find(seen: Observation) -> Iterator[Finding]:
    """Say which one is real and why, and which of them env.py reads."""
    told = real_and_empty(seen)
    if told is None:
        shut = [copy.schema for copy in seen.copies if _unknown(copy)]
        if shut:
            raise NotObserved("copies", f"this role may not read the tables of {', '.join(shut)}")
        return
    real, empty = told
    here = seen.version_table.schema if seen.version_table else ""
    names = ", ".join(c.schema for c in empty)
    wrong = here in {c.schema for c in empty}
    where = (
        f"env.py works on {here}, the empty one: the application's tables get no migration any more"
        if wrong
        else f"env.py works on {here}, which is right"
    )
    yield Finding(
        code="MD007",
        subject="version table",
        message=f"schema {real.schema} is the real one, it has the rows; {names} holds a second, "
        f"empty copy of its tables, built under another search_path; {where}",
        help=f"Pin the schema: version_table_schema={real.schema!r} in context.configure(), and "
        f"ALTER ROLE ... SET search_path = {real.schema}. Stamp nothing meanwhile.",
        severity=Severity.ERROR if wrong else None,
        evidence=(
            Evidence(title="tables and rows", text="\n".join(_lines(seen))),
            Evidence(title="version tables", text="\n".join(_versions(seen))),
            Evidence(title="to look before anything is dropped", text=_ask(empty)),
        ),
    )


def _lines(seen: Observation) -> list[str]:
    lines = []
    for copy in seen.copies:
        shown = [f"{name}: {_count(rows)}" for name, rows in copy.tables[:SHOWN]]
        more = f" and {len(copy.tables) - SHOWN} more" * (len(copy.tables) > SHOWN)
        lines.append(f"{copy.schema}: {', '.join(shown)}{more}")
    return lines


def _count(rows: int | None) -> str:
    return (
        "not readable"
        if rows is None
        else "empty"
        if rows == 0
        else f"about {rows} rows"
        if rows > 1000
        else f"{rows} rows"
    )


def _versions(seen: Observation) -> list[str]:
    path = ", ".join(seen.identity.search_path) if seen.has("identity") else "unknown"
    return [
        f"{table.label}: {table.told}{' (the one that env.py reads)' if table.configured else ''}"
        for table in seen.version_tables
    ] + [f"search_path of this role: {path}"]


def _ask(empty: tuple[Copy, ...]) -> str:
    return "\n".join(
        f"SELECT count(*) FROM {quoted(copy.schema, name)};"
        for copy in empty
        for name, _ in copy.tables[:SHOWN]
    )


def remedy(finding: Finding, seen: Observation) -> NeedsHuman:
    """Nothing is dropped or moved: the configuration has to say which one is meant."""
    told = real_and_empty(seen)
    names = ", ".join(c.schema for c in told[1]) if told else ""
    used = any(c.referenced for c in told[1]) if told else False
    why = f"let the configuration name the schema first; then {names} may be dropped by hand, "
    why += "but something outside refers to it" if used else "nothing outside refers to it"
    return NeedsHuman(finding=finding, why=why)


CHECK = Check(
    code="MD007",
    name="version-table-in-several-schemas",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
