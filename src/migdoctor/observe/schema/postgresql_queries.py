"""The six statements behind the PostgreSQL facts; each row is (schema, table, kind, name, detail).

Written for an empty search_path, so every name and operator of the catalog is qualified where it
could be somebody else's. `{locked}` stands for the literals of relations that must not be opened,
`{only}` and `{owned}` for a restriction to some relations.
"""

from collections.abc import Callable

from migdoctor.observe.version_table import IS_VERSION_TABLE

# `ns`: schemas of users (migdoctor is that of our own shadow). `shut`: locked relations, and those
# whose text names one. `rel`: relations that may be read; without version tables, leftovers,
# temporary and extension-owned ones.
_NS = """
WITH ns AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'migdoctor')
), ext AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), """
_LOCKED = """locked AS MATERIALIZED (
  SELECT c.oid, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN ns n
    ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY (ARRAY[{locked}]::text[])
), shut AS MATERIALIZED (
  SELECT oid, name FROM locked
  UNION SELECT r.ev_class, l.name FROM pg_rewrite r JOIN pg_depend d
    ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN locked l ON d.refclassid = 'pg_class'::regclass AND d.refobjid = l.oid
  UNION SELECT p.polrelid, l.name FROM pg_policy p JOIN pg_depend d
    ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
    JOIN locked l ON d.refclassid = 'pg_class'::regclass AND d.refobjid = l.oid
), """
_EVERY = rf"""every AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relispartition, c.relpartbound,
         c.relrowsecurity, c.relforcerowsecurity, c.reloptions, n.nspname
  FROM pg_class c JOIN ns n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
    AND c.relname NOT LIKE '\_alembic\_tmp\_%' AND c.relname NOT LIKE '\_migdoctor\_q\_%'
    AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_class'::regclass AND objid = c.oid)
    AND NOT {IS_VERSION_TABLE}{{only}}
)"""
_COMMON = f"""{_NS}{_LOCKED}{_EVERY}, rel AS MATERIALIZED (
  SELECT * FROM every WHERE oid NOT IN (SELECT oid FROM shut)
)"""

_SCHEMAS = """
SELECT nspname::text, '', 'schema', '', 'schema' FROM ns
WHERE NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_namespace'::regclass AND objid = ns.oid)
UNION ALL
SELECT '', '', 'extension', extname, 'installed' FROM pg_extension WHERE extname <> 'plpgsql'"""
_TABLES = """
SELECT r.nspname::text, r.relname::text, 'table', '',
  concat_ws(' ',
    CASE r.relpersistence WHEN 'u' THEN 'unlogged' END,
    CASE r.relkind WHEN 'r' THEN 'table'
      WHEN 'p' THEN 'partitioned table by ' || pg_get_partkeydef(r.oid)
      ELSE 'foreign table on ' || (SELECT s.srvname FROM pg_foreign_table f
             JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid) END,
    (SELECT CASE WHEN r.relispartition THEN 'partition of ' ELSE 'inherits ' END
            || string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
     FROM pg_inherits i WHERE i.inhrelid = r.oid),
    CASE WHEN r.relispartition THEN pg_get_expr(r.relpartbound, r.oid) END,
    CASE WHEN r.relrowsecurity THEN 'row security' END,
    CASE WHEN r.relforcerowsecurity THEN 'forced' END)
FROM rel r WHERE r.relkind IN ('r', 'p', 'f')"""

_SEQUENCES = """
SELECT n.nspname::text, coalesce(t.relname::text, ''), 'sequence', c.relname::text,
  concat_ws(' ', 'as', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment',
    s.seqincrement, 'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache,
    CASE WHEN s.seqcycle THEN 'cycle' END,
    'owned by ' || quote_ident(t.relname) || '.' || quote_ident(a.attname))
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN ns n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN every t ON t.oid = d.refobjid
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.deptype IS DISTINCT FROM 'i' AND (d.refobjid IS NULL OR d.refobjid IN (SELECT oid FROM rel))
  AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_class'::regclass AND objid = c.oid){owned}"""

_SHUT = """
SELECT e.nspname::text, e.relname::text, 'unreadable', '', min(s.name)
FROM every e JOIN shut s ON s.oid = e.oid GROUP BY 1, 2
UNION ALL
SELECT n.nspname, c.relname, 'unreadable', '', l.name FROM locked l
JOIN pg_class c ON c.oid = l.oid AND c.relkind = 'S' JOIN ns n ON n.oid = c.relnamespace"""

_COLUMNS = """
SELECT r.nspname::text, r.relname::text, 'column', a.attname::text,
  concat_ws(' ', format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END,
    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
    CASE a.attgenerated
      WHEN '' THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
      WHEN 's' THEN 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
      ELSE 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') VIRTUAL' END,
    CASE WHEN a.attidentity <> '' THEN
      CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS' ELSE 'GENERATED BY DEFAULT' END
      || ' AS IDENTITY' || coalesce((
        SELECT concat_ws(' ', ' start', s.seqstart, 'increment', s.seqincrement, 'min', s.seqmin,
          'max', s.seqmax, 'cache', s.seqcache, CASE WHEN s.seqcycle THEN 'cycle' END)
        FROM pg_depend i JOIN pg_sequence s ON s.seqrelid = i.objid
        WHERE i.classid = 'pg_class'::regclass AND i.refclassid = 'pg_class'::regclass
          AND i.refobjid = a.attrelid AND i.refobjsubid = a.attnum AND i.deptype = 'i'), '') END)
FROM rel r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'f')"""

# NOT VALID is part of the definition. Kind n (NOT NULL, new in 18) is in the column's fact; the
# rows that a foreign key has for every partition repeat it.
_CONSTRAINTS = """
SELECT r.nspname::text, r.relname::text,
  CASE k.contype WHEN 'p' THEN 'primary_key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign_key'
    WHEN 'c' THEN 'check' ELSE 'exclusion' END, k.conname::text, pg_get_constraintdef(k.oid)
FROM rel r JOIN pg_constraint k ON k.conrelid = r.oid
WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND NOT (k.contype = 'f' AND k.conparentid <> 0)"""

_INDEXES = """
SELECT r.nspname::text, r.relname::text, 'index', c.relname::text,
  concat_ws(' ', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN 'INVALID' END,
    CASE WHEN NOT i.indisready THEN 'NOT READY' END)
FROM rel r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indislive AND NOT EXISTS (SELECT FROM pg_constraint k
  WHERE k.conindid = i.indexrelid AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x'))"""

_RULES = """
SELECT r.nspname::text, r.relname::text, CASE r.relkind WHEN 'v' THEN 'view' ELSE 'matview' END,
  '', concat_ws(' ', 'with (' || array_to_string(r.reloptions, ', ') || ')', pg_get_viewdef(r.oid))
FROM rel r WHERE r.relkind IN ('v', 'm')
UNION ALL
SELECT r.nspname, r.relname, 'trigger', t.tgname,
  concat_ws(' ', pg_get_triggerdef(t.oid), CASE t.tgenabled WHEN 'D' THEN 'DISABLED'
    WHEN 'A' THEN 'ENABLED ALWAYS' WHEN 'R' THEN 'ENABLED REPLICA' END)
FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT r.nspname, r.relname, 'policy', p.polname,
  concat_ws(' ', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
    CASE p.polcmd WHEN 'r' THEN 'for select' WHEN 'a' THEN 'for insert' WHEN 'w' THEN 'for update'
      WHEN 'd' THEN 'for delete' ELSE 'for all' END,
    'to ' || coalesce((SELECT string_agg(quote_ident(o.rolname), ', ' ORDER BY o.rolname)
                       FROM pg_roles o WHERE o.oid = ANY (p.polroles)), 'public'),
    'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
    'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
FROM rel r JOIN pg_policy p ON p.polrelid = r.oid"""

_BODY = "p.prosrc"
_BODY_14 = "coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)"
_TYPES = """
SELECT n.nspname::text, '', 'enum', t.typname::text,
  (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
   FROM pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_type t JOIN ns n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND NOT EXISTS (SELECT FROM ext
  WHERE classid = 'pg_type'::regclass AND objid = t.oid)
UNION ALL
SELECT n.nspname, '', 'domain', t.typname,
  concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
    CASE WHEN t.typcollation <> b.typcollation THEN 'COLLATE ' || t.typcollation::regcollation END,
    CASE WHEN t.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || t.typdefault,
    (SELECT string_agg(quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), ' '
                       ORDER BY k.conname)
     FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
FROM pg_type t JOIN ns n ON n.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype
WHERE t.typtype = 'd' AND NOT EXISTS (SELECT FROM ext
  WHERE classid = 'pg_type'::regclass AND objid = t.oid)
UNION ALL
SELECT n.nspname, '', 'type', t.typname,
  coalesce((SELECT 'range of ' || format_type(g.rngsubtype, NULL)
            FROM pg_range g WHERE g.rngtypid = t.oid),
    (SELECT '(' || string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod),
                              ', ' ORDER BY a.attnum) || ')'
     FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
    '()')
FROM pg_type t JOIN ns n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (t.typtype = 'r' OR t.typtype = 'c' AND c.relkind = 'c') AND NOT EXISTS (SELECT FROM ext
  WHERE classid = 'pg_type'::regclass AND objid = t.oid)
UNION ALL
SELECT f.nspname, '', CASE WHEN f.blocked IS NULL THEN 'function' ELSE 'unreadable' END,
  f.proname || '(' || pg_get_function_identity_arguments(f.oid) || ')',
  CASE WHEN f.blocked IS NULL THEN (SELECT
    concat_ws(' ', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
        WHEN 'w' THEN 'window function' ELSE 'function' END,
      '(' || pg_get_function_arguments(p.oid) || ')',
      'returns ' || pg_get_function_result(p.oid), 'language', l.lanname,
      CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' END,
      CASE WHEN p.proisstrict THEN 'strict' END, CASE WHEN p.prosecdef THEN 'security definer' END,
      'set ' || array_to_string(p.proconfig, ', '),
      'as ' || CASE p.prokind WHEN 'a' THEN (SELECT concat_ws(' ', g.aggtransfn::regproc,
          format_type(g.aggtranstype, NULL), nullif(g.aggfinalfn::oid, 0)::regproc, g.agginitval)
        FROM pg_aggregate g WHERE g.aggfnoid = p.oid) ELSE {body} END)
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = f.oid)
  ELSE f.blocked END
FROM (SELECT p.oid, p.proname, n.nspname,
        (SELECT min(l.name) FROM pg_depend d JOIN locked l ON l.oid = d.refobjid
         WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
           AND d.refclassid = 'pg_class'::regclass) AS blocked
      FROM pg_proc p JOIN ns n ON n.oid = p.pronamespace
      WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                        AND d.objid = p.oid AND d.deptype IN ('e', 'i'))) f"""


def _always(*selects: str) -> Callable[[int], str]:
    text = (_COMMON + "\nUNION ALL".join(selects)).replace("{only}", "").replace("{owned}", "")
    return lambda _version: text


def _types(version: int) -> str:
    body = _BODY_14 if version >= 140000 else _BODY
    return _always(_TYPES.replace("{body}", body))(version)


# server_version_num -> statement
ALL: tuple[Callable[[int], str], ...] = (
    _always(_SCHEMAS, _TABLES, _SEQUENCES, _SHUT),
    *map(_always, (_COLUMNS, _CONSTRAINTS, _INDEXES, _RULES)),
    _types,
)


def of_relations(oids: str) -> str:
    """The facts of some relations alone, as one statement; `oids` is an expression of oid[].

    The same text as in `ALL`, without locked relations: for a database that is all ours.
    """
    every = _EVERY.replace("{only}", f" AND c.oid = ANY ({oids})")
    common = f"{_NS}{every}, rel AS MATERIALIZED (SELECT * FROM every)"
    common = common.replace("), ext AS MATERIALIZED (", "), ext AS NOT MATERIALIZED (")
    sequences = _SEQUENCES.replace("{owned}", f" AND d.refobjid = ANY ({oids})")
    parts = (_TABLES, sequences, _COLUMNS, _CONSTRAINTS, _INDEXES, _RULES)
    return common + "\nUNION ALL".join(parts)
