"""Steps made of the project's own recorded statements: run again, with undo and danger. Pure.

What a statement costs and what takes it back is read from the facts that it added and removed on
the shadow, never from its text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from migdoctor.facts import FactKey
from migdoctor.model import Guard, Hazard, Observation, Sql, Stamp, quoted
from migdoctor.timeline import Recorded, Timeline, Unit

CONSTRAINTS = {"primary_key", "unique", "foreign_key", "check", "exclusion"}
DROPS = {
    "view": "VIEW",
    "matview": "MATERIALIZED VIEW",
    "index": "INDEX",
    "sequence": "SEQUENCE",
    "enum": "TYPE",
    "type": "TYPE",
    "domain": "DOMAIN",
    "schema": "SCHEMA",
    "extension": "EXTENSION",
}
# They change no fact and no row: run again in silence. Anything else without a fact is asked about.
HARMLESS = re.compile(r"\s*(comment\s+on|set|grant|analyze)\b", re.IGNORECASE)
# PostgreSQL takes these outside a transaction only.
ALONE = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
# The recorder's mark for statements of which it has no text, or not all of it.
UNTOLD = re.compile(r"^-- (sent around|and \d+ more)", re.MULTILINE)
# What it would do with the rows that it reads was not recorded: the shadow has none.
READS = re.compile(r"\W*(select|with|values|table)\b", re.IGNORECASE)
WRITES = re.compile(r"\s*(insert|update|delete|replace|merge)\b", re.IGNORECASE)
DOLLAR = re.compile(r"\$\w*\$")  # a quoted body (PostgreSQL)
NOT_NULL = " NOT NULL"
Piece = Unit | Recorded


@dataclass
class Made:
    """Tables that an earlier step of the same cure has made: new, so nobody waits for them."""

    tables: set[tuple[str, str]] = field(default_factory=set)

    def note(self, unit: Unit) -> None:
        self.tables |= _new_tables(unit)


# --- a revision in pieces -----------------------------------------------------------------------


def pieces(timeline: Timeline, id: str) -> Iterator[Piece]:
    """The units of a revision and the statements between them that change no fact, in order."""
    units = iter(timeline.units[id])
    unit = next(units, None)
    inside = 0
    for statement in timeline.revisions[id]:
        if unit is not None and statement is unit.statements[inside]:
            if inside == 0:
                yield unit
            inside += 1
            if inside == len(unit.statements):
                unit, inside = next(units, None), 0
        elif statement.batch is None:
            yield statement


def asks(piece: Piece) -> bool:
    """A statement of which nobody can see whether it ran, and that may not run twice unasked."""
    return isinstance(piece, Recorded) and (piece.data or not HARMLESS.match(piece.sql))


def has_data(timeline: Timeline, id: str) -> bool:
    """Whether a revision changes rows, or something else that no fact shows."""
    return any(asks(piece) for piece in pieces(timeline, id))


def untold(parts: Iterable[Piece]) -> bool:
    """Whether nobody can run these again: some statement was not recorded whole, or what it did
    with rows was not."""
    return any(
        UNTOLD.search(s.sql) or (isinstance(piece, Recorded) and piece.data and READS.match(s.sql))
        for piece in parts
        for s in (piece.statements if isinstance(piece, Unit) else (piece,))
    )


def text_of(parts: Iterable[Piece]) -> str:
    """The statements as they would be run, for evidence."""
    return ";\n".join(piece.sql for piece in parts)


# --- steps --------------------------------------------------------------------------------------


def steps(parts: Iterable[Piece], seen: Observation, made: Made) -> tuple[Sql, ...]:
    """Run these again, in order. `made` learns the tables that come into being."""
    found: list[Sql] = []
    for piece in parts:
        if isinstance(piece, Unit):
            found += _of_unit(piece, seen, made)
            made.note(piece)
        elif asks(piece):
            found += [
                Sql(run=sql, undo=None, touches="rows", hazards=(Hazard.RERUNS_DATA,))
                for sql in split(piece.sql)
            ]
        else:
            found.append(Sql(run=piece.sql, undo=(), touches="settings"))
    return tuple(found)


def _of_unit(unit: Unit, seen: Observation, made: Made) -> Iterator[Sql]:
    hazards = hazards_of_unit(unit, seen.dialect, made)
    back = undo_of_unit(unit, seen.timeline)
    last = len(unit.statements) - 1
    for number, statement in enumerate(unit.statements):
        yield Sql(
            run=statement.sql,
            undo=back if number == last or back is None else (),
            touches=touched(unit),
            hazards=hazards,
            in_transaction=not _alone(unit, statement, seen.dialect),
        )


def taken_back(units: Sequence[Unit], seen: Observation) -> tuple[Sql, ...] | None:
    """Take units back, the last one first, where each of them is provably new and empty.

    None when one of them cannot be taken back. The statement itself is the undo of its undo.
    """
    found: list[Sql] = []
    for unit in reversed(units):
        back = _back(unit, seen.timeline)
        if back is None or untold((unit,)):
            return None
        for number, sql in enumerate(back):
            again = tuple(s.sql for s in unit.statements) if number == 0 else ()
            guard = _empty(unit, number)
            found.append(Sql(run=sql, undo=again, touches=touched(unit), guard=guard))
    return tuple(found)


def _empty(unit: Unit, number: int) -> Guard | None:
    """The question that shows that nobody has put anything into what a unit made."""
    holders = [] if unit.removed else _holders(unit)
    if number >= len(holders):
        return None
    key = holders[number]
    table = quoted(key.schema, key.table)
    where = f" WHERE {quoted(key.name)} IS NOT NULL" if key.kind == "column" else ""
    return Guard(
        query=f"SELECT count(*) FROM {table}{where}",
        answer=0,
        because=f"{key.table}{'.' + key.name if where else ''} holds values by now",
    )


def advanced(rows: Sequence[str | None], id: str, seen: Observation) -> tuple[str | None, ...]:
    """The version rows after a revision was recorded, as alembic keeps them: heads only."""
    before = seen.history.ancestors(id)
    return (*(row for row in rows if row not in before and row != id), id)


def recorded_as(located: Sequence[str], seen: Observation) -> tuple[str | None, ...]:
    """The rows that say where the schema is; rows of other lines stay as they are."""
    kept = [r for r in seen.stamped if r not in seen.history.closure(located)]
    new = [id for id in located if not any(id in seen.history.closure((r,)) for r in kept)]
    return (*kept, *new)


def stamps(
    ids: Sequence[str], table: tuple[str, str], rows: Sequence[str | None], seen: Observation
) -> tuple[Stamp, ...]:
    """Record revisions one by one, in order."""
    found, before = [], tuple(rows)
    for id in ids:
        after = advanced(before, id, seen)
        found.append(Stamp(table=table, before=before, after=after))
        before = after
    return tuple(found)


def split(sql: str) -> list[str]:
    """Statements that the recorder joined (one executed with many rows), apart again."""
    if not WRITES.match(sql) or DOLLAR.search(sql):
        return [sql]
    return re.split(r";\n(?=(?:[^']*'[^']*')*[^']*$)", sql)


# --- danger, from facts -------------------------------------------------------------------------


def hazards_of_unit(unit: Unit, dialect: str, made: Made | None = None) -> tuple[Hazard, ...]:
    """What running a unit on live may cost, from the facts that it adds and removes."""
    fresh = set(made.tables) if made else set()
    found: set[Hazard] = set()
    if len(unit.statements) > 1:
        found.add(Hazard.REWRITES_TABLE)  # a batch rebuild copies the whole table
    for key, old in unit.removed.items():
        if (key.schema, key.table) in fresh:
            continue
        new = unit.added.get(key)
        if new is not None:
            found |= _change(key, old, new, dialect)
        elif key.kind in ("table", "column"):
            found.add(Hazard.DELETES_DATA)
        elif not _goes_with_its_table(key, unit):
            found.add(Hazard.DROPS_OBJECT)
    fresh |= _new_tables(unit)
    for key, detail in unit.added.items():
        if (key.schema, key.table) not in fresh and key not in unit.removed:
            found |= _addition(key, detail, unit, dialect)
    return tuple(sorted(found))


def _change(key: FactKey, old: str, new: str, dialect: str) -> set[Hazard]:
    if key.kind == "column":
        if _bare(old) != _bare(new):
            return {Hazard.REWRITES_TABLE}
        tightened = NOT_NULL in new and NOT_NULL not in old
        return {Hazard.LOCKS_TABLE} if tightened and dialect == "postgresql" else set()
    if key.kind in ("enum", "table", "sequence", "schema"):
        return set()
    return {Hazard.DROPS_OBJECT}


def _bare(detail: str) -> str:
    """A column without its default and its NOT NULL: what its stored values depend on."""
    return detail.partition(" DEFAULT ")[0].replace(NOT_NULL, "")


def _addition(key: FactKey, detail: str, unit: Unit, dialect: str) -> set[Hazard]:
    """PostgreSQL builds an index, and checks a constraint, while it keeps writers out.

    A column is a change of the catalog only, unless its values must be computed row by row (manual,
    ALTER TABLE, Notes).
    """
    if dialect != "postgresql":
        return set()
    if key.kind in CONSTRAINTS:
        return set() if detail.endswith("NOT VALID") else {Hazard.LOCKS_TABLE}
    if key.kind == "index":
        return set() if _alone(unit, unit.statements[0], dialect) else {Hazard.LOCKS_TABLE}
    computed = ("DEFAULT nextval(", " AS IDENTITY", ") STORED")
    if key.kind == "column" and any(word in detail for word in computed):
        return {Hazard.REWRITES_TABLE}
    return set()


def _goes_with_its_table(key: FactKey, unit: Unit) -> bool:
    """Parts of a dropped table, and what a dropped column takes along: said once, as data."""
    gone = {(k.schema, k.table) for k in unit.removed if k.kind in ("table", "column")}
    return (key.schema, key.table) in gone


def _alone(unit: Unit, statement: Recorded, dialect: str) -> bool:
    """Must run outside a transaction: it did so, and is of a kind that cannot be inside one."""
    if dialect != "postgresql" or not statement.autocommit:
        return False
    return bool(ALONE.search(statement.sql)) or any(k.kind == "enum" for k in unit.removed)


# --- the way back, from facts -------------------------------------------------------------------


def undo_of_unit(unit: Unit, timeline: Timeline) -> tuple[str, ...] | None:
    """Statements that exactly take a unit back; None where there are none.

    A table that has got rows since is not dropped: a column that may not be NULL cannot be added
    to it (SQLite and PostgreSQL alike), and the whole undo is refused.
    """
    back = _back(unit, timeline)
    if back is None or unit.removed:
        return back
    filled = (
        f"ALTER TABLE {quoted(*home)} ADD COLUMN migdoctor_no_rows INTEGER NOT NULL"
        for home in sorted(_new_tables(unit))
    )
    return (*filled, *back)


def _back(unit: Unit, timeline: Timeline) -> tuple[str, ...] | None:
    if len(unit.statements) > 1:
        return None
    if unit.removed:
        return _made_again(unit, timeline)
    return _dropped(unit, timeline.dialect)


def _holders(unit: Unit) -> list[FactKey]:
    """What a unit made that can hold values: its tables, then its columns in older tables."""
    homes = _new_tables(unit)
    tables = [k for k in unit.added if k.kind == "table"]
    columns = [k for k in unit.added if k.kind == "column" and (k.schema, k.table) not in homes]
    return [*tables, *columns]


def _new_tables(unit: Unit) -> set[tuple[str, str]]:
    return {(k.schema, k.table) for k in unit.added if k.kind == "table"}


def _dropped(unit: Unit, dialect: str) -> tuple[str, ...] | None:
    """DROP of everything a unit made, holders of values first; None where that is not exact."""
    holders = _holders(unit)
    tables = {(k.schema, k.table) for k in holders if k.kind == "table"}
    altered = {(k.schema, k.table) for k in holders if k.kind == "column"}
    found = [_drop(key) for key in holders]
    for key in unit.added:
        home = (key.schema, key.table)
        if key in holders or (home in tables and key.table):
            continue  # goes with its table
        if home in altered and key.table:
            if dialect == "sqlite":
                return None  # SQLite drops no column that a constraint names
            continue  # goes with its column
        if key.kind in CONSTRAINTS and dialect == "sqlite":
            return None
        found.append(_drop(key))
    return None if None in found else tuple(sql for sql in found if sql is not None)


def _drop(key: FactKey) -> str | None:
    """The statement that drops one object, None where there is none."""
    table = quoted(key.schema, key.table)
    if key.kind == "table":
        return f"DROP TABLE {table}"
    if key.kind == "column":
        return f"ALTER TABLE {table} DROP COLUMN {quoted(key.name)}"
    if key.kind in CONSTRAINTS:
        return f"ALTER TABLE {table} DROP CONSTRAINT {quoted(key.name)}"
    if key.kind in ("trigger", "policy"):
        on = "" if key.schema == "main" else f" ON {table}"
        return f"DROP {key.kind.upper()} {quoted(key.name)}{on}"
    if key.kind == "function":
        name, _, arguments = key.name.partition("(")
        return f"DROP ROUTINE {quoted(key.schema, name)}({arguments}"
    if key.kind in ("view", "matview"):
        return f"DROP {DROPS[key.kind]} {table}"
    if key.kind == "schema":
        return f"DROP SCHEMA {quoted(key.schema)}"
    if key.kind in DROPS:
        return f"DROP {DROPS[key.kind]} {quoted(key.schema, key.name)}"
    return None


def _made_again(unit: Unit, timeline: Timeline) -> tuple[str, ...] | None:
    """The way back from a unit that took something away."""
    if not unit.added and any(k.kind in ("table", "column") for k in unit.removed):
        return None
    if unit.added:
        return _column_back(unit, timeline.dialect)
    for units in timeline.units.values():
        for other in units:
            if other.added == unit.removed and not other.removed and len(other.statements) == 1:
                return None if untold((other,)) else (other.statements[0].sql,)
    return None


def _column_back(unit: Unit, dialect: str) -> tuple[str, ...] | None:
    """NOT NULL and DEFAULT of one column as they were; no other change is taken back."""
    if dialect != "postgresql" or len(unit.removed) != 1 or set(unit.removed) != set(unit.added):
        return None
    ((key, old),), (new,) = unit.removed.items(), unit.added.values()
    if key.kind != "column" or _bare(old) != _bare(new):
        return None
    alter = f"ALTER TABLE {quoted(key.schema, key.table)} ALTER COLUMN {quoted(key.name)}"
    found = []
    if (NOT_NULL in old) != (NOT_NULL in new):
        found.append(f"{alter} {'SET' if NOT_NULL in old else 'DROP'} NOT NULL")
    value = old.partition(" DEFAULT ")[2]
    if value != new.partition(" DEFAULT ")[2]:
        found.append(f"{alter} SET DEFAULT {value}" if value else f"{alter} DROP DEFAULT")
    return tuple(found)


def touched(unit: Unit) -> str:
    """ "table schema.name" of the first table that a unit changes, else the kind and the name."""
    for key in (*unit.added, *unit.removed):
        if key.table:
            return f"table {key.schema}.{key.table}"
    key = next(iter((*unit.added, *unit.removed)))
    return f"{key.kind} {key.schema}.{key.name}"
