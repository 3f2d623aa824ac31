"""Facts of a SQLite file: sqlite_master, one joined pragma, and the stored text.

Sources: file format manual (schema table), pragma manual (table_xinfo). Automatic index numbers
are no facts: the constraint behind such an index is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from migdoctor.connect import Session
from migdoctor.facts import FactKey, Schema
from migdoctor.observe.schema import sqlite_text
from migdoctor.observe.version_table import is_version_table

OBJECTS = r"""
SELECT type, name, tbl_name, sql FROM sqlite_master
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY type, name"""
# Virtual tables may need a module that is not loaded, and views may be broken: tables only.
COLUMNS = r"""
SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden
FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c
WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%'
  AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' {only} ORDER BY m.name, c.cid"""
Object = tuple[str, str, str, str]  # type, name, table, sql
Column = tuple[str, str, int, str | None, int, int]
_LEFT_OUT = ("_alembic_tmp_", "_migdoctor_q_")


def read(session: Session) -> Schema:
    """All facts, under schema "main"; `sql` holds every stored text, leftovers included."""
    objects: list[Object] = [(k, n, t, sql) for k, n, t, sql in session.query(OBJECTS)]
    columns = by_table(session.query(COLUMNS.replace("{only}", "")))
    return Schema(
        facts=facts_of(objects, columns), sql={(kind, name): sql for kind, name, _, sql in objects}
    )


def by_table(rows: Iterable[Iterable[Any]]) -> dict[str, list[Column]]:
    """Rows of COLUMNS, under the table that they begin with."""
    columns: dict[str, list[Column]] = {}
    for table, *column in rows:
        columns.setdefault(table, []).append(tuple(column))
    return columns


def facts_of(objects: Iterable[Object], columns: Mapping[str, list[Column]]) -> dict[FactKey, str]:
    """The facts of some tables and views, from all their rows of OBJECTS and COLUMNS.

    Tables do not depend on each other here: facts of parts are parts of the facts.
    """
    objects = list(objects)
    hidden = {
        name
        for kind, name, _, sql in objects
        if kind == "table"
        and (
            name.startswith(_LEFT_OUT)
            or is_version_table(name, [c[0] for c in columns.get(name, [])], sql)
        )
    }
    facts: dict[FactKey, str] = {}
    for kind, name, table, sql in objects:
        if table in hidden:
            continue
        if kind == "table":
            facts.update(_table(name, sql, columns.get(name, [])))
        elif kind == "index":
            facts[FactKey("main", table, "index", name)] = _index(sql)
        elif kind == "trigger":
            facts[FactKey("main", table, "trigger", name)] = _behind_name(sql, "trigger")
        elif kind == "view":
            facts[FactKey("main", name, "view", "")] = _behind_name(sql, "view")
    return facts


def _table(name: str, sql: str, columns: list[Column]) -> Iterator[tuple[FactKey, str]]:
    if sqlite_text.is_virtual(sql):
        yield FactKey("main", name, "table", ""), f"virtual {sqlite_text.body(sql, 'using')}"
        return
    told = sqlite_text.table(sql)
    yield FactKey("main", name, "table", ""), " ".join(["table", *sorted(told.options)])
    more = {column.name.lower(): column for column in told.columns}
    keys = [column for column in columns if column[4]]
    for column, kind, not_null, default, key, _hidden in columns:
        # The key of a rowid table is never null, whether CREATE or ALTER said so or not.
        rowid = key and len(keys) == 1 and kind.upper() == "INTEGER"
        parts = [_type(kind), "NOT NULL" if not_null and not rowid else ""]
        value = _default(default or "null")
        parts.append(f"DEFAULT {value}" if value != "null" else "")
        if text := more.get(column.lower()):
            parts.append(f"COLLATE {text.collation}" if text.collation else "")
            parts.append(f"GENERATED {text.generated}" if text.generated else "")
        yield FactKey("main", name, "column", column), " ".join(p for p in parts if p)
    for constraint in told.constraints:
        key_name = constraint.name or constraint.detail
        yield FactKey("main", name, constraint.kind, key_name), constraint.detail


def _type(declared: str) -> str:
    """A declared type in one case and spacing; SQLite compares neither."""
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(declared.split())).upper()


def _default(text: str) -> str:
    """The expression of a default without case, spacing and outer parentheses; "null" is none."""
    parts = sqlite_text.tokens(text)
    while len(parts) > 2 and parts[0].text == "(" and _wraps(parts):
        parts = parts[1:-1]
    return sqlite_text.normal(parts)


def _wraps(parts: list[sqlite_text.Token]) -> bool:
    """Whether the first parenthesis closes at the last token."""
    depth = 0
    for number, token in enumerate(parts):
        if token.kind == "sign":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return number == len(parts) - 1
    return False


def _index(sql: str) -> str:
    """What an index is on, without its name: the columns, uniqueness and condition."""
    parts = sqlite_text.tokens(sql)
    at = next(n for n, t in enumerate(parts) if t.kind == "word" and t.text == "on")
    unique = "unique " if any(t.text == "unique" for t in parts[:2]) else ""
    return unique + sqlite_text.normal([t for t in parts[at + 2 :] if t.text != "asc"])


def _behind_name(sql: str, kind: str) -> str:
    """The text behind CREATE <kind> [IF NOT EXISTS] <name>."""
    parts = sqlite_text.tokens(sql)
    at = next(n for n, t in enumerate(parts) if t.kind == "word" and t.text == kind) + 1
    if [t.text for t in parts[at : at + 3]] == ["if", "not", "exists"]:
        at += 3
    return sqlite_text.normal(parts[at + 1 :])
