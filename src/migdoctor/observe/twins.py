"""The same tables in two schemas, with a version table in each (incident 13)."""

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import Copy, Schema, VersionTable
from migdoctor.model import literal, quoted

LIMIT = 200  # tables of one schema that are looked at
EXACT = 1000  # rows that are counted; from there on the server's estimate will do

# Dependents from elsewhere: foreign keys of other schemas' tables, and views.
_ABOUT = """
SELECT n.nspname::text, c.relname::text, greatest(c.reltuples, 1)::int8,
  EXISTS (SELECT FROM pg_constraint k JOIN pg_class o ON o.oid = k.conrelid
          WHERE k.confrelid = c.oid AND k.contype = 'f' AND o.relnamespace <> n.oid)
  OR EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
             WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
               AND d.refobjid = c.oid AND r.ev_class <> c.oid),
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN ({tables})
ORDER BY 1, 2"""


def read(session: Session, versions: tuple[VersionTable, ...], schema: Schema) -> tuple[Copy, ...]:
    """Schemas with a version table of the same name and tables of the same names.

    The first rows are counted; how many more there are only the statistics tell.
    """
    if session.dialect == "sqlite":
        return ()
    named = {v.name for v in versions if v.configured}
    homes = sorted({v.schema for v in versions if v.name in named})
    own = {home: {t for s, t in schema.tables if s == home} for home in homes}
    shared = [
        name
        for name in sorted(set().union(*own.values()) if own else ())
        if sum(name in tables for tables in own.values()) > 1
    ][:LIMIT]
    wanted = [(home, name) for home in homes for name in shared if name in own[home]]
    if not wanted:
        return ()
    listed = ", ".join(f"({literal(home)}, {literal(name)})" for home, name in wanted)
    try:
        about = session.query(_ABOUT.format(tables=listed))
        readable = [(home, name) for home, name, _, _, may in about if may]
        counts = _counts(session, readable)
    except NotObserved as error:
        raise NotObserved("copies", error.why) from None
    return tuple(
        Copy(
            schema=home,
            tables=tuple(
                (name, _number(counts.get((s, name)), estimate))
                for s, name, estimate, _, _ in about
                if s == home
            ),
            referenced=any(outside for s, _, _, outside, _ in about if s == home),
        )
        for home in homes
        if any(s == home for s, *_ in about)
    )


def _number(count: int | None, estimate: int) -> int | None:
    return max(count, estimate) if count and count > EXACT else count


def _counts(session: Session, tables: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The number of rows of each table, at most one more than EXACT."""
    if not tables:
        return {}
    parts = [
        f"SELECT {number}, (SELECT count(*) FROM (SELECT FROM {quoted(*table)} "
        f"LIMIT {EXACT + 1}) rows)"
        for number, table in enumerate(tables)
    ]
    return {tables[number]: count for number, count in session.query(" UNION ALL ".join(parts))}
