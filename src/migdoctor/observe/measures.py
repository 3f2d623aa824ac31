"""What only the rows can tell: violations, duplicates, how far sequences are behind.

Read in the full diagnosis only. Every statement is bounded by the session's statement_timeout, and
relations that somebody holds in ACCESS EXCLUSIVE mode are not touched; what could not be counted
stays uncounted, with the reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import (
    DisabledTriggers,
    Health,
    Orphans,
    Schema,
    Sequence,
    Unvalidated,
    WeakIndex,
)
from migdoctor.model import Observation, literal, quoted

SHOWN = 5  # examples
CHUNK = 100  # sequences per statement: each takes some entries of the server's lock table
_NEEDS = "(needs USAGE on the schema and SELECT)"
LIMIT = 20  # objects of a kind that are counted one by one
TOO_MANY = f"only the first {LIMIT} of its kind were counted; treat those, then look again"

_KEY_PARTS = """
SELECT ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false)
             FROM generate_series(1, i.indnkeyatts) n ORDER BY n),
       pg_get_expr(i.indpred, i.indrelid),
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false)
FROM pg_index i WHERE i.indexrelid = to_regclass({name})"""
_FOREIGN_KEYS = """
SELECT n.nspname || '.' || c.relname, k.conname::text,
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(num, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.n),
  pn.nspname::text, p.relname::text,
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(num, n)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.n),
  n.nspname::text, c.relname::text
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n
  ON n.oid = c.relnamespace JOIN pg_class p ON p.oid = k.confrelid
JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND (n.nspname || '.' || c.relname, k.conname) IN ({wanted})"""
# Only columns that a valid index begins with: elsewhere a repeated number hurts nobody.
_SEQUENCES = """
SELECT DISTINCT n.nspname::text, s.relname::text, tn.nspname::text, t.relname::text,
  a.attname::text, q.seqincrement, has_schema_privilege(n.oid, 'USAGE')
  AND has_schema_privilege(tn.oid, 'USAGE') AND has_table_privilege(s.oid, 'SELECT')
  AND has_column_privilege(t.oid, a.attnum, 'SELECT')
FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
JOIN pg_index i ON i.indrelid = t.oid AND i.indisvalid AND i.indisunique AND i.indkey[0] = a.attnum
  AND i.indnkeyatts = 1 AND i.indpred IS NULL
WHERE q.seqincrement > 0 AND NOT q.seqcycle AND t.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_'
ORDER BY 1, 2"""


# --- counts for what the catalog calls unhealthy ------------------------------------------------


def counted(session: Session, health: Health, schema: Schema) -> Health:
    """The same with duplicates, violations and orphans counted, as far as that can be done."""
    keys = _foreign_keys(session, health)
    return replace(
        health,
        indexes=tuple(
            _duplicates(session, index, schema)
            if number < LIMIT
            else replace(index, why_not=TOO_MANY)
            for number, index in enumerate(health.indexes)
        ),
        unvalidated=tuple(
            _violations(session, one, schema, keys)
            if number < LIMIT
            else replace(one, why_not=TOO_MANY)
            for number, one in enumerate(health.unvalidated)
        ),
        triggers=tuple(_unchecked(session, table, schema, keys) for table in health.triggers),
    )


def _duplicates(session: Session, index: WeakIndex, schema: Schema) -> WeakIndex:
    """What a unique index cannot take; nulls are no duplicates unless the index says so."""
    if not index.unique or index.building:
        return index
    table = quoted(index.key.schema, index.key.table)
    if why := schema.unreadable.get(f"{index.key.schema}.{index.key.table}"):
        return replace(index, why_not=why)
    name = literal(quoted(index.key.schema, index.key.name))
    try:
        ((columns, predicate, nulls_equal),) = session.query(_KEY_PARTS.format(name=name))
        where = [] if nulls_equal else [f"({column}) IS NOT NULL" for column in columns]
        where += [f"({predicate})"] if predicate else []
        shown = ", ".join(f"({column})::text" for column in columns)
        question = (
            f"SELECT count(*), {shown} FROM {table} WHERE {' AND '.join(where) or 'true'} "
            f"GROUP BY {', '.join(f'({c})' for c in columns)} HAVING count(*) > 1 "
            f"ORDER BY 1 DESC, 2 LIMIT {SHOWN + 1}"
        )
        rows = session.query(question)
    except NotObserved as error:
        return replace(index, why_not=error.why)
    names = ", ".join(columns)
    groups = [f"({names}) = ({', '.join(map(str, row[1:]))}): {row[0]} rows" for row in rows]
    if len(groups) > SHOWN:
        groups[SHOWN] = "... and more"
    return replace(index, duplicates=tuple(groups))


def _violations(
    session: Session, one: Unvalidated, schema: Schema, keys: Mapping[tuple[str, str], Any]
) -> Unvalidated:
    definition = one.definition or schema.facts.get(one.key, "").removesuffix(" NOT VALID")
    one = replace(one, definition=definition)
    place = f"{one.key.schema}.{one.key.table}"
    table = quoted(one.key.schema, one.key.table)
    if why := schema.unreadable.get(place):
        return replace(one, why_not=why)
    if one.key.kind == "foreign_key":
        if (place, one.key.name) not in keys:
            return replace(one, why_not="its columns could not be read")
        key = keys[place, one.key.name]
        if why := _shut_parent(key, schema):
            return replace(one, why_not=why)
        source = _orphans_of(*key)
    elif one.key.kind == "check":
        rule = definition.removeprefix("CHECK ").removesuffix(" NO INHERIT")
        source = f"FROM {table} AS c WHERE NOT {rule}"
    else:
        column = definition.removeprefix("NOT NULL ")
        source = f"FROM {table} AS c WHERE {quoted(column)} IS NULL"
    try:
        ((count,),) = session.query(f"SELECT count(*) {source}")
        rows = session.query(f"SELECT c::text {source} LIMIT {SHOWN}") if count else []
    except NotObserved as error:
        return replace(one, why_not=error.why)
    return replace(one, violations=count, shown="\n".join(str(text) for (text,) in rows))


def _unchecked(
    session: Session,
    table: DisabledTriggers,
    schema: Schema,
    keys: Mapping[tuple[str, str], Any],
) -> DisabledTriggers:
    found: list[tuple[str, str, int | None]] = []
    for child, name, _ in table.foreign_keys:
        count = None
        key = keys.get((child, name))
        if key and child not in schema.unreadable and not _shut_parent(key, schema):
            try:
                count = session.query(f"SELECT count(*) {_orphans_of(*key)}")[0][0]
            except NotObserved:
                count = None
        found.append((child, name, count))
    return replace(table, foreign_keys=tuple(found))


def _foreign_keys(session: Session, health: Health) -> dict[tuple[str, str], Any]:
    """Columns and parent of the foreign keys that are to be counted, read at once."""
    wanted = {
        (f"{u.key.schema}.{u.key.table}", u.key.name)
        for u in health.unvalidated
        if u.key.kind == "foreign_key"
    }
    wanted |= {(child, name) for t in health.triggers for child, name, _ in t.foreign_keys}
    if not wanted:
        return {}
    listed = ", ".join(f"({literal(a)}, {literal(b)})" for a, b in sorted(wanted))
    try:
        rows = session.query(_FOREIGN_KEYS.format(wanted=listed))
    except NotObserved:
        return {}
    return {(row[0], row[1]): row[2:] for row in rows}


def _shut_parent(key: Any, schema: Schema) -> str:
    """Why the parent of a foreign key cannot be read now, "" where it can."""
    return schema.unreadable.get(f"{key[1]}.{key[2]}", "")


def _orphans_of(
    columns: list[str], parent_schema: str, parent: str, others: list[str], schema: str, table: str
) -> str:
    """FROM and WHERE for the rows of a child that have no parent; a null leads nowhere by right."""
    given = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column in columns)
    same = " AND ".join(
        f"p.{quoted(o)} = c.{quoted(c)}" for c, o in zip(columns, others, strict=True)
    )
    return (
        f"FROM {quoted(schema, table)} AS c WHERE {given} AND NOT EXISTS "
        f"(SELECT FROM {quoted(parent_schema, parent)} AS p WHERE {same})"
    )


# --- facts of their own -------------------------------------------------------------------------


def orphans(session: Session, seen: Observation) -> tuple[Orphans, ...]:
    """Rows without parent: SQLite looks at all, PostgreSQL where a foreign key was switched off.

    Elsewhere the server itself sees to it. A key that is NOT VALID is told with its validation.
    """
    if session.dialect == "sqlite":
        return tuple(_sqlite_orphans(session))
    found: dict[tuple[str, str], Orphans] = {}
    for table in seen.health.triggers:
        for child, name, count in table.foreign_keys:
            found[child, name] = Orphans(
                table=child,
                constraint=name,
                parent="",
                count=count,
                why_not="" if count is not None else "the rows could not be compared in time",
            )
    return tuple(found.values())


_FOREIGN_KEY_CHECK = """
SELECT "table", parent, count(*), group_concat(rowid, ', ')
FROM (SELECT * FROM pragma_foreign_key_check{of} ORDER BY rowid) GROUP BY "table", parent, fkid"""


def _sqlite_orphans(session: Session) -> Iterator[Orphans]:
    """All tables at once; one after the other where SQLite cannot check some key."""
    try:
        yield from _orphans_in(session, "")
    except NotObserved as error:
        if "foreign key mismatch" not in error.why:
            raise NotObserved("orphans", error.why) from None
    else:
        return
    for (table,) in session.query("SELECT name FROM sqlite_master WHERE type = 'table'"):
        try:
            yield from _orphans_in(session, f"({literal(table)})")
        except NotObserved as error:  # a key that names no unique column of its parent
            yield Orphans(table=table, constraint="", parent="", count=None, why_not=error.why)


def _orphans_in(session: Session, of: str) -> list[Orphans]:
    return [
        Orphans(
            table=table,
            constraint=f"{table} to {parent}",
            parent=parent,
            count=count,
            shown=_addresses(str(addresses or "").split(", "), count),
        )
        for table, parent, count, addresses in session.query(_FOREIGN_KEY_CHECK.format(of=of))
    ]


def _addresses(addresses: list[str], count: int) -> str:
    shown = ", ".join(addresses[:SHOWN])
    return f"rowid {shown}{', ...' * (count > SHOWN)}" if shown else ""


def sequences(session: Session, schema: Schema) -> tuple[Sequence, ...]:
    """Sequences behind unique columns, with the next value of each and the highest there is."""
    if session.dialect == "sqlite":
        return ()
    found: list[Sequence] = []
    rows = []
    for schema_name, name, home, table, column, step, may in session.query(_SEQUENCES):
        one = Sequence(
            schema=schema_name,
            name=name,
            table=f"{home}.{table}",
            column=column,
            upcoming=0,
            highest=None,
            why_not=schema.unreadable.get(f"{schema_name}.{name}")
            or schema.unreadable.get(f"{home}.{table}")
            or ("" if may else f"this role may not read it or {home}.{table} {_NEEDS}"),
        )
        if one.why_not:
            found.append(one)
        else:
            rows.append((one, home, table, step))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        questions = [
            f"SELECT {number}, (SELECT CASE WHEN is_called THEN last_value + {step} "
            f"ELSE last_value END FROM {quoted(one.schema, one.name)}), "
            f"(SELECT max({quoted(one.column)})::numeric FROM {quoted(home, table)})"
            for number, (one, home, table, step) in enumerate(part)
        ]
        for number, upcoming, highest in session.query(" UNION ALL ".join(questions)):
            highest = None if highest is None else int(highest)
            found.append(replace(part[number][0], upcoming=int(upcoming), highest=highest))
    return tuple(found)
