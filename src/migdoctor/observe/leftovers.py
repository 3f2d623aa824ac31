"""Tables that failed batch migrations left, and tables that an earlier run put aside.

Incidents 37 and 38: what a leftover is worth is decided by two row counts, so both are read here.
"""

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import Quarantined, Schema, TmpTable
from migdoctor.model import quoted
from migdoctor.observe.schema import sqlite_text

TMP = "_alembic_tmp_"
ASIDE = "_migdoctor_q_"
_NAME_LIMIT = 50  # alembic cuts the whole temporary name there

_QUARANTINED = r"""
SELECT n.nspname, c.relname,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
       AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
                       WHERE l.mode = 'AccessExclusiveLock'
                         AND (l.relation = c.oid OR l.relation IN (
                           SELECT x.indexrelid FROM pg_catalog.pg_index x
                           WHERE x.indrelid = c.oid)))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relname LIKE '\_migdoctor\_q\_%' ESCAPE '\'
  AND n.nspname !~ '^pg_'
ORDER BY 1, 2"""


def read(session: Session, schema: Schema) -> tuple[tuple[TmpTable, ...], tuple[Quarantined, ...]]:
    """(tmp tables, tables put aside). Raises NotObserved("tmp_tables", why)."""
    try:
        if session.dialect == "sqlite":
            return _sqlite(session, schema)
        return (), _postgresql(session)
    except NotObserved as error:
        raise NotObserved("tmp_tables", error.why) from None


def _postgresql(session: Session) -> tuple[Quarantined, ...]:
    found = session.query(_QUARANTINED)
    counted = [(schema, name) for schema, name, readable in found if readable]
    rows = dict(zip(counted, _counts(session, counted), strict=True))
    return tuple(
        Quarantined(schema=schema, name=name, rows=rows.get((schema, name)))
        for schema, name, _ in found
    )


def _sqlite(
    session: Session, schema: Schema
) -> tuple[tuple[TmpTable, ...], tuple[Quarantined, ...]]:
    tables = [name for kind, name in schema.sql if kind == "table"]
    tmp = sorted(name for name in tables if name.startswith(TMP))
    aside = sorted(name for name in tables if name.startswith(ASIDE))
    originals = {name: _original(name, tables, schema) for name in tmp}
    here = {name.lower(): name for name in tables}
    present = [here[o.lower()] for o in originals.values() if o.lower() in here]
    counted = list(dict.fromkeys([*tmp, *aside, *present]))
    rows = dict(zip(counted, _counts(session, [("main", n) for n in counted]), strict=True))
    leftovers = tuple(
        TmpTable(
            name=name,
            original=original,
            rows=rows[name],
            original_rows=rows.get(here.get(original.lower(), "")),
            ddl=schema.sql["table", name],
            columns=_columns(schema, name),
            blocking_views=_views_of(original, schema),
        )
        for name, original in originals.items()
    )
    return leftovers, tuple(Quarantined(schema="main", name=n, rows=rows[n]) for n in aside)


def _counts(session: Session, tables: list[tuple[str, str]]) -> list[int]:
    """The exact row counts of some tables, in one statement."""
    if not tables:
        return []
    parts = ", ".join(f"(SELECT count(*) FROM {quoted(*table)})" for table in tables)
    return list(session.query(f"SELECT {parts}")[0])


def _original(tmp: str, tables: list[str], schema: Schema) -> str:
    """The table that a leftover was to become.

    alembic's name is cut at 50 characters; a cut one is completed by the table that begins so,
    and of several by the one that shares most columns with the leftover.
    """
    stem = tmp.removeprefix(TMP)
    if len(tmp) < _NAME_LIMIT:
        return stem
    fitting = [name for name in tables if name.startswith(stem) and name != tmp]
    own = set(_columns(schema, tmp))
    shared = {name: len(own & set(_columns(schema, name))) for name in fitting}
    return max(sorted(fitting), key=lambda name: shared[name], default=stem)


def _columns(schema: Schema, table: str) -> tuple[str, ...]:
    return tuple(c.name for c in sqlite_text.table(schema.sql["table", table]).columns)


def _views_of(table: str, schema: Schema) -> tuple[tuple[str, str], ...]:
    """Views, as (name, sql), whose text names the table: they stop a rename (incident 38)."""
    return tuple(
        (name, sql)
        for (kind, name), sql in sorted(schema.sql.items())
        if kind == "view" and table.lower() in sqlite_text.identifiers(sql)
    )
