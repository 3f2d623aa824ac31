"""What one statement of a replay did, in raw rows, and how it read with its parameters."""

from __future__ import annotations

import datetime
import decimal
import json
import re
import uuid
from contextlib import suppress
from typing import Any

PLACEHOLDER = re.compile(
    r"'(?:[^']|'')*'|%%|%\((?P<name>[^)]+)\)s|(?P<next>%s|\?)|\$(?P<number>\d+)(?![\d$])"
)
MANY = 200  # rows of one executemany that are written out


# --- what a statement did, in raw rows ------------------------------------------------------------


def driver_rows(connection: Any, sql: str) -> list[Any]:
    """Rows of one statement on a cursor of the driver; () for one without rows."""
    cursor = connection.connection.cursor()
    try:
        if connection.dialect.driver in ("psycopg", "psycopg_async"):
            cursor.execute(sql, None, prepare=False)  # every DDL would throw the prepared away
        else:
            cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        cursor.close()


class Postgres:
    """Facts by relation, kept up to date by the shadow's function `migdoctor.changes`."""

    def __init__(self, changes: str) -> None:
        self.changes = changes
        self.last = 0
        self.resync = False
        self.homes: dict[str, Any] = {}  # oid -> (schema, table)
        self.facts: dict[Any, Any] = {}  # (schema, table) -> {(kind, name): detail}

    def collect(self, connection: Any, whole: bool = False) -> Any:
        """[[rows gone], [rows new]] since the last call, None where nothing changed."""
        whole = whole or self.resync
        self.resync = False
        sql = self.changes.format(after=self.last, everything=whole)
        rows = driver_rows(connection, sql)
        if not rows:
            return None
        found: dict[Any, Any] = {}
        homes: dict[str, Any] = {}
        indexes = []
        for what, schema, table, kind, name, detail in rows:
            if what == "fact":
                found.setdefault((schema, table), {})[(kind, name)] = detail
            elif what == "relation":
                homes[name] = (schema, table) if table else None
            elif what == "index":
                indexes.append((schema, table))
            elif what == "last":
                self.last = int(schema)
            else:
                whole = True
        if whole:
            old, self.facts, self.homes = self.facts, found, homes
            return changed(old, found)
        return self.partly(found, homes, indexes)

    def partly(self, found: Any, homes: Any, indexes: Any) -> Any:
        places = {home for home in homes.values() if home}
        places |= {self.homes[oid] for oid in homes if oid in self.homes}
        for oid, home in homes.items():
            self.homes.pop(oid, None)
            if home:
                self.homes[oid] = home
        old = {place: self.facts.pop(place, {}) for place in places}
        for schema, index in indexes:
            for place in list(self.facts):
                if place[0] == schema and ("index", index) in self.facts[place]:
                    old[place] = self.facts[place]
                    found[place] = {k: v for k, v in old[place].items() if k != ("index", index)}
        self.facts.update({place: facts for place, facts in found.items() if facts})
        return changed(old, found)


def changed(old: Any, new: Any) -> Any:
    """[[rows gone], [rows new]] between two states of some relations."""
    gone, come = [], []
    for place in old.keys() | new.keys():
        before, after = old.get(place, {}), new.get(place, {})
        gone += [[*place, *key, v] for key, v in before.items() if after.get(key) != v]
        come += [[*place, *key, v] for key, v in after.items() if before.get(key) != v]
    return [gone, come] if gone or come else None


class Sqlite:
    """Rows of sqlite_master, looked at when the schema's counter has moved."""

    def __init__(self, objects: str, columns: str) -> None:
        self.objects, self.columns = objects, columns
        self.version: Any = None
        self.resync = False
        self.known: dict[Any, Any] = {}

    def collect(self, connection: Any, whole: bool = False) -> Any:
        """{"gone": [[type, name]], "now": [[type, name, table, sql]], "columns": rows} or None."""
        version = driver_rows(connection, "PRAGMA schema_version")[0][0]
        if version == self.version and not (whole or self.resync):
            return None
        self.version, self.resync = version, False
        found = {(row[0], row[1]): row for row in driver_rows(connection, self.objects)}
        gone = [key for key in self.known if key not in found]
        now = [row for key, row in found.items() if self.known.get(key) != row]
        self.known = found
        if not gone and not now:
            return None
        names = [literal(row[1]) for row in now if row[0] == "table"]
        columns = []
        if names:
            only = ", ".join(names)
            columns = driver_rows(
                connection, self.columns.replace("{only}", f"AND m.name IN ({only})")
            )
        return {"gone": gone, "now": now, "columns": columns}


# --- text of statements ---------------------------------------------------------------------------


def shown(statement: str, parameters: Any, context: Any) -> str:
    """A statement as the server got it, with its parameters written out."""
    style = getattr(context.dialect, "paramstyle", "")
    plain = getattr(context, "no_parameters", False) or bool(
        getattr(context, "execution_options", {}).get("no_parameters") and not parameters
    )
    doubled = style in ("format", "pyformat") and not plain
    if not parameters or plain:
        return (statement.replace("%%", "%") if doubled else statement).strip()
    nested = isinstance(parameters, list) and isinstance(parameters[0], (dict, tuple, list))
    rows = parameters if nested else [parameters]
    texts = [written(statement, row, doubled).strip() for row in rows[:MANY]]
    if len(rows) > MANY:
        texts.append(f"-- and {len(rows) - MANY} more of these")
    return ";\n".join(texts)


def emptied(parameters: Any) -> Any:
    """No parameters, in the same shape."""
    if isinstance(parameters, list):
        return [emptied(parameters[0])] if parameters else []
    return {} if isinstance(parameters, dict) else ()


def written(statement: str, row: Any, doubled: bool) -> str:
    given = iter(row) if isinstance(row, (tuple, list)) else iter(())

    def put(match: Any) -> str:
        if match["name"]:
            return literal(row[match["name"]]) if isinstance(row, dict) else str(match[0])
        if match["next"]:
            return literal(next(given, None))
        if match["number"] and isinstance(row, (tuple, list)):
            return literal(row[int(match["number"]) - 1])
        text = str(match[0])
        return text.replace("%%", "%") if doubled else text

    return PLACEHOLDER.sub(put, statement)


def literal(value: Any) -> str:
    """A value as an SQL literal that both engines read."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, decimal.Decimal)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"'\\x{bytes(value).hex()}'"
    if isinstance(value, (dict, list)):
        with suppress(TypeError, ValueError):
            value = json.dumps(value)
    inner = getattr(value, "obj", None)  # psycopg's wrapper of JSON
    if inner is not None and not isinstance(value, (str, datetime.date, uuid.UUID)):
        with suppress(TypeError, ValueError):
            value = json.dumps(inner)
    return "'" + str(value).replace("'", "''") + "'"
