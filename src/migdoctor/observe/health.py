"""What is there and not well: invalid indexes, forgotten validations, unused types, and so on.

Incidents 44-47, 70-72. One statement over pg_catalog whatever the number of tables; nothing in it
opens a user's relation, so it waits for nobody.
"""

import re
from typing import Any

from migdoctor.connect import Session
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import (
    DisabledTriggers,
    FactKey,
    Health,
    Schema,
    StaleCollation,
    UnusedEnum,
    Unvalidated,
    WeakIndex,
)
from migdoctor.model import Observation

LEFTOVER = re.compile(r"_cc(new|old)\d*$")  # names of REINDEX CONCURRENTLY (index_concurrently...)
_UNHEALTHY = re.compile(r"( INVALID)?( NOT READY)?$")

# A build holds SHARE UPDATE EXCLUSIVE on its table from beginning to end, and so does VACUUM.
# Progress views hide others' builds from a role without rights; the lock they cannot hide.
_HEALTH = """
WITH ns AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'migdoctor')
), ext AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), busy AS MATERIALIZED (
  SELECT DISTINCT l.relation FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'relation'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                   'AccessExclusiveLock')
    AND coalesce(a.backend_type, '') <> 'autovacuum worker'
), rel AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relowner, n.nspname FROM pg_class c
  JOIN ns n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm') AND NOT EXISTS (
    SELECT FROM ext WHERE classid = 'pg_class'::regclass AND objid = c.oid)
), weak AS MATERIALIZED (
  SELECT i.*, c.relname, c.relkind FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE (NOT i.indisvalid OR NOT i.indisready OR NOT i.indislive) AND c.relkind = 'i'
)
SELECT 'index' AS kind, r.nspname::text AS schema, r.relname::text AS tab, w.relname::text AS name,
  jsonb_build_object('unique', w.indisunique, 'building', r.oid IN (SELECT relation FROM busy),
    'constraint', (SELECT k.conname FROM pg_constraint k WHERE k.conindid = w.indexrelid
                   AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x')),
    'sibling', (SELECT min(c.relname) FROM pg_index s JOIN pg_class c ON c.oid = s.indexrelid
                WHERE s.indrelid = w.indrelid AND s.indisvalid AND s.indkey = w.indkey
                  AND s.indisunique = w.indisunique AND (s.indpred IS NULL) = (w.indpred IS NULL)
                  AND (s.indexprs IS NULL) = (w.indexprs IS NULL)
                  AND left(c.relname, 56) = left(regexp_replace(w.relname, '_cc(new|old)[0-9]*$',
                                                                ''), 56))) AS about
FROM weak w JOIN rel r ON r.oid = w.indrelid
UNION ALL
SELECT 'constraint', r.nspname, r.relname, k.conname, jsonb_build_object('type', k.contype,
    'busy', r.oid IN (SELECT relation FROM busy),
    'columns', (SELECT jsonb_agg(a.attname ORDER BY u.n) FROM unnest(k.conkey)
                WITH ORDINALITY u(num, n) JOIN pg_attribute a
                ON a.attrelid = k.conrelid AND a.attnum = u.num))
FROM pg_constraint k JOIN rel r ON r.oid = k.conrelid
WHERE NOT k.convalidated AND k.contype IN ('f', 'c', 'n') AND k.conparentid = 0
  AND (to_jsonb(k) ->> 'conenforced') IS DISTINCT FROM 'false'
UNION ALL
SELECT 'enum', n.nspname, '', t.typname, jsonb_build_object('labels',
    (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e
     WHERE e.enumtypid = t.oid))
FROM pg_type t JOIN ns n ON n.oid = t.typnamespace
WHERE t.typtype = 'e'
  AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_type'::regclass AND objid = t.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass
    AND d.refobjid IN (t.oid, t.typarray)
    AND NOT (d.classid = 'pg_type'::regclass AND d.objid IN (t.oid, t.typarray)))
UNION ALL
SELECT 'trigger', r.nspname, r.relname, '', jsonb_build_object(
    'names', jsonb_agg(t.tgname ORDER BY t.tgname)
             FILTER (WHERE NOT t.tgisinternal AND t.tgenabled = 'D'),
    'internal', jsonb_agg(t.tgname ORDER BY t.tgname)
                FILTER (WHERE t.tgisinternal AND t.tgenabled = 'D'),
    'all', bool_and(t.tgenabled IN ('D', 'O')),
    'keys', (SELECT jsonb_agg(DISTINCT jsonb_build_array(
               f.conrelid::int8, nc.nspname || '.' || c.relname, f.conname))
             FROM pg_trigger d JOIN pg_constraint f ON f.oid = d.tgconstraint AND f.contype = 'f'
             JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace nc ON nc.oid = c.relnamespace
             WHERE d.tgrelid = r.oid AND d.tgenabled = 'D' AND d.tgisinternal))
FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid
WHERE t.tgparentid = 0
GROUP BY r.oid, r.nspname, r.relname HAVING bool_or(t.tgenabled = 'D')
UNION ALL
SELECT 'owner', o.nspname, '', pg_get_userbyid(o.relowner), jsonb_build_object('count', o.number,
    'names', o.names)
FROM (SELECT r.nspname, r.relowner, count(*) AS number, count(*) OVER (PARTITION BY r.nspname) AS n,
        (array_agg(r.relname ORDER BY r.relname))[:20] AS names
      FROM rel r WHERE r.relkind IN ('r', 'p') GROUP BY r.nspname, r.relowner) o
WHERE o.n > 1{collations}
ORDER BY 1, 2, 3, 4"""

# Of the database itself since 15, of other collations before; C and POSIX have no version.
_DATABASE_COLLATION = """
UNION ALL
SELECT 'collation', '', '', '', jsonb_build_object('recorded', d.datcollversion,
    'actual', pg_database_collation_actual_version(d.oid), 'indexes', (
      SELECT jsonb_agg(r.nspname || '.' || c.relname ORDER BY r.nspname, c.relname)
      FROM pg_index i JOIN rel r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
      WHERE 100 = ANY (i.indcollation) AND c.relkind = 'i'))
FROM pg_database d WHERE d.datname = current_database()
  AND d.datcollversion <> pg_database_collation_actual_version(d.oid)"""
_COLLATIONS = """
UNION ALL
SELECT 'collation', n.nspname, '', o.collname, jsonb_build_object('recorded', o.collversion,
    'actual', pg_collation_actual_version(o.oid), 'indexes', u.indexes)
FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace JOIN (
  SELECT k AS oid, jsonb_agg(DISTINCT r.nspname || '.' || c.relname) AS indexes
  FROM pg_index i JOIN rel r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid,
       unnest(i.indcollation) k
  WHERE k NOT IN (0, 100) AND c.relkind = 'i' GROUP BY k) u ON u.oid = o.oid
WHERE o.collversion <> pg_collation_actual_version(o.oid)"""


def read(session: Session) -> Health:
    """What the catalog tells without any row of a user's table. NotObserved("health", why)."""
    if session.dialect == "sqlite":
        raise NotApplicable("health", "SQLite has no such things")
    collations = (_DATABASE_COLLATION if session.server_version >= 150000 else "") + _COLLATIONS
    try:
        rows = session.query(_HEALTH.replace("{collations}", collations))
    except NotObserved as error:
        raise NotObserved("health", error.why) from None

    def of(kind: str) -> list[tuple[str, str, str, dict[str, Any]]]:
        return [(s, t, n, about) for k, s, t, n, about in rows if k == kind]

    return Health(
        indexes=tuple(_index(*row) for row in of("index")),
        unvalidated=tuple(_unvalidated(*row) for row in of("constraint")),
        enums=tuple(
            UnusedEnum(key=FactKey(s, "", "enum", n), labels=tuple(about["labels"] or ()))
            for s, _, n, about in of("enum")
        ),
        triggers=tuple(_triggers(*row) for row in of("trigger")),
        collations=tuple(
            StaleCollation(
                name=f"{s}.{n}" if n else "",
                recorded=about["recorded"],
                actual=about["actual"],
                indexes=tuple(about["indexes"] or ()),
            )
            for s, _, n, about in of("collation")
        ),
        owners=tuple(
            (s, owner, about["count"], tuple(about["names"])) for s, _, owner, about in of("owner")
        ),
    )


def _index(schema: str, table: str, name: str, about: dict[str, Any]) -> WeakIndex:
    return WeakIndex(
        key=FactKey(schema, table, "index", name),
        unique=about["unique"],
        valid=False,
        building=about["building"],
        constraint=about["constraint"] or "",
        sibling=about["sibling"] or "" if LEFTOVER.search(name) else "",
    )


def _unvalidated(schema: str, table: str, name: str, about: dict[str, Any]) -> Unvalidated:
    kind = {"f": "foreign_key", "c": "check", "n": "not_null"}[about["type"]]
    columns = about["columns"] or []
    return Unvalidated(
        key=FactKey(schema, table, kind, name),
        definition=f"NOT NULL {columns[0]}" if kind == "not_null" and columns else "",
        busy=about["busy"],
    )


def _triggers(schema: str, table: str, _name: str, about: dict[str, Any]) -> DisabledTriggers:
    return DisabledTriggers(
        schema=schema,
        table=table,
        names=tuple(about["names"] or ()),
        internal=tuple(about["internal"] or ()),
        foreign_keys=tuple((child, name, None) for _, child, name in about["keys"] or ()),
        all_of_table=about["all"],
    )


# --- what was meant -----------------------------------------------------------------------------


def as_meant(seen: Observation) -> Schema:
    """The schema with `meant` filled in: what is unhealthy is no drift and no part of a revision.

    An invalid index of a recorded revision counts as made, one of a pending revision as not made.
    Pure; the schema itself where there is no timeline.
    """
    schema = seen.schema
    if not all(seen.has(name) for name in ("health", "timeline", "history", "version_tables")):
        return schema
    timeline = seen.timeline
    claimed = seen.history.closure(seen.stamped) & timeline.units.keys()
    state = timeline.state(claimed)
    meant: dict[FactKey, str | None] = {}
    for key, detail in schema.facts.items():
        wanted = state.get(key)
        if wanted == detail:
            continue
        if key.kind == "index" and " USING " in detail:
            healthy = _UNHEALTHY.sub("", detail)
            if healthy != detail:
                meant[key] = healthy if healthy == wanted else None
        elif key.kind in ("foreign_key", "check") and wanted is not None:
            if wanted.removesuffix(" NOT VALID") == detail.removesuffix(" NOT VALID"):
                meant[key] = wanted
        elif key.kind == "trigger" and wanted is not None:
            if wanted.removesuffix(" DISABLED") == detail.removesuffix(" DISABLED"):
                meant[key] = wanted
        elif key.kind == "enum" and wanted is not None and (key, detail) not in timeline.ever:
            meant[key] = wanted
    for enum in seen.health.enums:
        if enum.key not in state and enum.key in timeline.touched:
            meant[enum.key] = None
    return Schema(facts=schema.facts, unreadable=schema.unreadable, sql=schema.sql, meant=meant)
