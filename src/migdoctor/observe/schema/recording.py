"""Raw rows of a replay as facts, by the same code that reads live schemas. Pure."""

from collections.abc import Iterable
from typing import Any

from migdoctor.facts import FactKey
from migdoctor.observe.schema import postgresql, sqlite

Change = tuple[dict[FactKey, str], dict[FactKey, str]]  # removed, added


class PostgreSQL:
    """Deltas of the watch function; they are facts but for their canonical text."""

    def change(self, delta: Any) -> Change:
        """What a statement took away and what it made; () () for none."""
        if not delta:
            return {}, {}
        removed, added = _facts(delta[0]), _facts(delta[1])
        return _without_same(removed, added)


class SQLite:
    """Deltas of sqlite_master; a mirror of its rows is kept, and read table by table."""

    def __init__(self) -> None:
        self._home: dict[tuple[str, str], str] = {}  # (type, name) -> table
        self._objects: dict[str, dict[tuple[str, str], sqlite.Object]] = {}  # by table
        self._columns: dict[str, list[sqlite.Column]] = {}

    def change(self, delta: Any) -> Change:
        """What a statement took away and what it made; () () for none."""
        if not delta:
            return {}, {}
        gone = [(kind, name) for kind, name in delta["gone"]]
        now: list[sqlite.Object] = [(k, n, t, sql) for k, n, t, sql in delta["now"]]
        tables = {self._home[key] for key in gone} | {row[2] for row in now}
        tables |= {self._home[row[:2]] for row in now if row[:2] in self._home}
        before = self._of(tables)
        for key in (*gone, *(row[:2] for row in now)):
            if table := self._home.pop(key, None):
                del self._objects[table][key]
        for row in now:
            self._home[row[:2]] = row[2]
            self._objects.setdefault(row[2], {})[row[:2]] = row
        self._columns.update(sqlite.by_table(delta["columns"]))
        return _without_same(before, self._of(tables))

    def _of(self, tables: set[str]) -> dict[FactKey, str]:
        rows = [row for table in tables for row in self._objects.get(table, {}).values()]
        return sqlite.facts_of(rows, self._columns)


def _facts(rows: Iterable[Any]) -> dict[FactKey, str]:
    return {
        FactKey(schema, table, kind, name): postgresql.canonical(kind, detail)
        for schema, table, kind, name, detail in rows
    }


def _without_same(removed: dict[FactKey, str], added: dict[FactKey, str]) -> Change:
    same = {key for key, detail in removed.items() if added.get(key) == detail}
    return (
        {key: detail for key, detail in removed.items() if key not in same},
        {key: detail for key, detail in added.items() if key not in same},
    )
