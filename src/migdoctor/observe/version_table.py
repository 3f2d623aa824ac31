"""Every version table of a database, wherever it is, with its rows exactly as stored.

Incidents 10-15: one configured table is never trusted alone; the census goes over every schema.
"""

from collections.abc import Iterable
from dataclasses import replace

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import VersionTable
from migdoctor.model import literal, quoted

# What makes a relation `c` a version table, whatever its name: alembic's column, and alembic's
# usual name, or no other column, or the primary key that alembic names "<table>_pkc".
IS_VERSION_TABLE = r"""(
  EXISTS (SELECT FROM pg_catalog.pg_attribute v
          WHERE v.attrelid = c.oid AND v.attname = 'version_num' AND NOT v.attisdropped)
  AND (c.relname ILIKE '%alembic\_version%'
       OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute v WHERE v.attrelid = c.oid
                      AND v.attnum > 0 AND v.attname <> 'version_num' AND NOT v.attisdropped)
       OR EXISTS (SELECT FROM pg_catalog.pg_constraint k
                  WHERE k.conrelid = c.oid AND k.conname = c.relname || '_pkc')))"""

_POSTGRESQL_CENSUS = f"""
SELECT n.nspname, c.relname,
       (SELECT max(CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'version_num'),
       EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'),
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       pg_catalog.pg_get_userbyid(c.relowner)::text,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_column_privilege(c.oid, v.attnum, 'SELECT'),
       (SELECT min(l.pid) FROM pg_catalog.pg_locks l
        WHERE l.mode = 'AccessExclusiveLock' AND (l.relation = c.oid OR l.relation IN (
          SELECT x.indexrelid FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid))
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                            WHERE d.datname = pg_catalog.current_database()))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute v
  ON v.attrelid = c.oid AND v.attname = 'version_num' AND NOT v.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND (c.relname = {{name}} OR {IS_VERSION_TABLE})
ORDER BY n.nspname, c.relname"""

_SQLITE_CENSUS = r"""
SELECT m.name, m.sql, c.name, c.pk
FROM sqlite_master m JOIN pragma_table_info(m.name) c
WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%'
  AND (lower(m.name) = lower({name})
       OR m.sql LIKE '%version\_num%' ESCAPE '\')
ORDER BY m.name, c.cid"""


def read(session: Session, schema: str | None, name: str) -> tuple[VersionTable, ...]:
    """All version tables; the one that the project means is marked `configured`.

    `schema` None stands for the role's own search_path, as it does for alembic. Raises
    NotObserved("version_tables", why) where the configured table is there and cannot be read.
    """
    try:
        census = _sqlite if session.dialect == "sqlite" else _postgresql
        return census(session, schema, name)
    except NotObserved as error:
        raise NotObserved("version_tables", error.why) from None


def is_version_table(name: str, columns: Iterable[str], sql: str) -> bool:
    """The rule of IS_VERSION_TABLE for a SQLite table, from its name, columns and stored text."""
    own = {column.lower() for column in columns}
    if "version_num" not in own:
        return False
    named = "alembic_version" in name.lower() or f"{name}_pkc".lower() in sql.lower()
    return named or own == {"version_num"}


def _postgresql(session: Session, schema: str | None, name: str) -> tuple[VersionTable, ...]:
    rows = session.query(_POSTGRESQL_CENSUS.format(name=literal(name)))
    path = [schema] if schema else session.search_path
    homes = [home for home in path if any((home, name) == row[:2] for row in rows)]
    configured = (homes[0], name) if homes else None
    tables: list[VersionTable] = []
    for owner_schema, table, width, primary_key, columns, owner, readable, locker in rows:
        # A schema that the role may not use is not on its path: the table may be there unseen.
        unseen = configured is None and schema is None and table == name and not readable
        ours = unseen or (owner_schema, table) == configured
        problem = _unreadable(columns, readable, locker)
        if problem and ours:
            raise NotObserved("version_tables", f"{owner_schema}.{table}: {problem}")
        if "version_num" not in columns:
            continue
        tables.append(
            VersionTable(
                schema=owner_schema,
                name=table,
                rows=(),
                width=width,
                primary_key=primary_key,
                configured=ours,
                extra_columns=tuple(c for c in columns if c != "version_num"),
                owner=owner,
                unread=problem,
            )
        )
    return _with_rows(session, tables)


def _unreadable(columns: list[str], readable: bool, locker: int | None) -> str:
    if "version_num" not in columns:
        return "it has no column version_num"
    if not readable:
        return "this role may not read it (needs USAGE on the schema and SELECT on the table)"
    if locker is not None:
        return f"session {locker} holds it or its index in ACCESS EXCLUSIVE mode, or waits for that"
    return ""


def _sqlite(session: Session, schema: str | None, name: str) -> tuple[VersionTable, ...]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for table, sql, column, position in session.query(_SQLITE_CENSUS.format(name=literal(name))):
        found.setdefault((table, sql), {})[column] = position
    tables = []
    for (table, sql), columns in found.items():
        ours = schema in (None, "main") and table.lower() == name.lower()
        if not any(column.lower() == "version_num" for column in columns):
            if ours:
                raise NotObserved("version_tables", f"{table}: it has no column version_num")
            continue
        if not ours and not is_version_table(table, columns, sql):
            continue
        tables.append(
            VersionTable(
                schema="main",
                name=table,
                rows=(),
                width=None,
                primary_key=any(columns.values()),
                configured=ours,
                extra_columns=tuple(c for c in columns if c.lower() != "version_num"),
                ddl=sql,
            )
        )
    return _with_rows(session, tables)


def _with_rows(session: Session, tables: list[VersionTable]) -> tuple[VersionTable, ...]:
    """The tables with their rows, all read by one statement."""
    parts = [
        f"SELECT {number} AS n, CAST(version_num AS text) FROM {quoted(t.schema, t.name)}"
        for number, t in enumerate(tables)
        if not t.unread
    ]
    stored = session.query(" UNION ALL ".join(parts)) if parts else []
    return tuple(
        replace(table, rows=tuple(value for of, value in stored if of == number))
        for number, table in enumerate(tables)
    )
