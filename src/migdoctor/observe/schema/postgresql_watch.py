"""What a statement did to the facts, told by the shadow server itself.

Event triggers note which relations every DDL command touched (also commands inside DO blocks and
functions); one function returns the facts of just those, built from the same text as the reader
of live schemas. For a throw-away database only: it makes a schema `migdoctor` there.
Sources: PostgreSQL manual, "Event Triggers" and "Event Trigger Functions".
"""

from migdoctor.observe.schema import postgresql_queries as queries

CHANGES = "SELECT * FROM migdoctor.changes({after}, {everything})"
_RELATION = """CASE x.classid
    WHEN 'pg_class'::regclass THEN coalesce(
      (SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = x.objid), x.objid)
    WHEN 'pg_constraint'::regclass THEN
      (SELECT nullif(k.conrelid, 0) FROM pg_constraint k WHERE k.oid = x.objid)
    WHEN 'pg_trigger'::regclass THEN (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = x.objid)
    WHEN 'pg_policy'::regclass THEN (SELECT p.polrelid FROM pg_policy p WHERE p.oid = x.objid)
    WHEN 'pg_rewrite'::regclass THEN (SELECT w.ev_class FROM pg_rewrite w WHERE w.oid = x.objid)
    WHEN 'pg_attrdef'::regclass THEN (SELECT f.adrelid FROM pg_attrdef f WHERE f.oid = x.objid)
    END"""

# `everything`: a kind of object that facts of many relations may name (type, function, schema...).
# A sequence beside a table in one command is that of a serial or identity column.
_SETUP = f"""
CREATE SCHEMA migdoctor;
CREATE TABLE migdoctor.marker (token text);
CREATE TABLE migdoctor.touched (id bigserial PRIMARY KEY, relation oid, deep boolean,
  everything boolean, index_schema text, index_name text);

CREATE FUNCTION migdoctor.note_commands() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET jit = off AS $note$
BEGIN
  INSERT INTO migdoctor.touched (relation, deep, everything)
  SELECT s.relation, s.command_tag !~ '^CREATE ', s.relation IS NULL
    OR s.object_type ~ '^composite type'
    OR s.object_type = 'sequence' AND NOT bool_or(s.object_type ~ '^(foreign )?table') OVER ()
  FROM (SELECT x.command_tag, x.object_type, {_RELATION} AS relation
        FROM pg_event_trigger_ddl_commands() x
        WHERE x.classid IS NOT NULL AND x.command_tag NOT IN ('GRANT', 'REVOKE', 'COMMENT',
          'ALTER DEFAULT PRIVILEGES', 'SECURITY LABEL')) s;
END $note$;

CREATE FUNCTION migdoctor.note_drops() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET jit = off AS $note$
BEGIN
  INSERT INTO migdoctor.touched (relation, deep, everything, index_schema, index_name)
  SELECT CASE
      WHEN x.object_type IN ('index', 'sequence') THEN NULL
      WHEN x.classid = 'pg_class'::regclass THEN x.objid
      WHEN x.object_type IN ('table constraint', 'trigger', 'policy', 'rule', 'default value')
        THEN to_regclass(format('%I.%I', x.address_names[1], x.address_names[2])) END,
    true,
    x.original AND x.object_type IN ('type', 'sequence') OR x.object_type NOT IN ('table', 'view',
      'materialized view', 'foreign table', 'toast table', 'index', 'sequence', 'type', 'trigger',
      'table column', 'view column', 'materialized view column', 'foreign table column',
      'table constraint', 'policy', 'rule', 'default value'),
    CASE x.object_type WHEN 'index' THEN x.schema_name END,
    CASE x.object_type WHEN 'index' THEN x.object_name END
  FROM pg_event_trigger_dropped_objects() x WHERE NOT x.is_temporary;
END $note$;

"""
_TRIGGERS = """
CREATE EVENT TRIGGER migdoctor_commands ON ddl_command_end
  EXECUTE FUNCTION migdoctor.note_commands();
CREATE EVENT TRIGGER migdoctor_drops ON sql_drop EXECUTE FUNCTION migdoctor.note_drops();
ALTER EVENT TRIGGER migdoctor_commands ENABLE ALWAYS;
ALTER EVENT TRIGGER migdoctor_drops ENABLE ALWAYS;
"""

# Rows: ('last', id), ('all'), ('index', schema, name), ('relation', schema, table, '', oid) for
# each touched relation, with NULL names where it is gone, and ('fact', schema, table, kind, name,
# detail). Views follow what they are made of; other dependents name what they depend on.
_CHANGES = """
CREATE FUNCTION migdoctor.changes(after_id bigint, whole boolean)
RETURNS TABLE (f_what text, f_schema text, f_table text, f_kind text, f_name text, f_detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET jit = off
SET plan_cache_mode = force_generic_plan AS $changes$
#variable_conflict use_column
DECLARE
  v_last bigint; v_all boolean; v_oids oid[]; v_deep oid[]; v_indexes boolean;
BEGIN
  {always}
  SELECT max(t.id), bool_or(t.everything), array_agg(DISTINCT t.relation)
      FILTER (WHERE t.relation IS NOT NULL), array_agg(DISTINCT t.relation)
      FILTER (WHERE t.relation IS NOT NULL AND t.deep), bool_or(t.index_name IS NOT NULL)
    INTO v_last, v_all, v_oids, v_deep, v_indexes
    FROM migdoctor.touched t WHERE t.id > after_id;
  IF v_last IS NULL AND NOT whole THEN RETURN; END IF;
  f_what := 'last'; f_schema := coalesce(v_last, after_id)::text; RETURN NEXT;
  IF NOT (v_all OR whole) AND v_deep IS NOT NULL THEN
    v_all := EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass
                     AND d.refobjid = ANY (v_deep) AND d.classid = 'pg_proc'::regclass);
    v_oids := v_oids || ARRAY(
      SELECT k.conrelid FROM pg_depend d JOIN pg_constraint k ON k.oid = d.objid
      WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (v_deep)
        AND d.classid = 'pg_constraint'::regclass AND k.conrelid <> 0
      UNION SELECT p.polrelid FROM pg_depend d JOIN pg_policy p ON p.oid = d.objid
      WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (v_deep)
        AND d.classid = 'pg_policy'::regclass);
    v_oids := v_oids || ARRAY(
      WITH RECURSIVE reach AS (
        SELECT unnest(v_deep) AS oid
        UNION SELECT w.ev_class FROM reach r JOIN pg_depend d
          ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid
          AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite w ON w.oid = d.objid)
      SELECT oid FROM reach);
  END IF;
  IF v_all OR whole THEN
    f_what := 'all'; RETURN NEXT;
    RETURN QUERY SELECT 'relation', n.nspname::text, c.relname::text, '', c.oid::text, ''
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
        AND n.nspname !~ '^pg_|^information_schema$|^migdoctor$';
{everything}
    RETURN;
  END IF;
  v_oids := ARRAY(
    WITH RECURSIVE reach AS (
      SELECT unnest(v_oids) AS oid
      UNION SELECT i.inhrelid FROM reach r JOIN pg_inherits i ON i.inhparent = r.oid)
    SELECT oid FROM reach);
  IF v_indexes THEN
    RETURN QUERY SELECT 'index', t.index_schema, t.index_name, '', '', ''
      FROM migdoctor.touched t WHERE t.id > after_id AND t.index_name IS NOT NULL;
  END IF;
  RETURN QUERY SELECT 'relation', n.nspname::text, c.relname::text, '', o.oid::text, ''
    FROM unnest(v_oids) AS o(oid) LEFT JOIN pg_class c ON c.oid = o.oid
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace;
  {some}
END $changes$"""


def setup(version: int, *, triggers: bool = True) -> str:
    """The script that makes a fresh database tell; `version` is its server_version_num.

    Only superusers may make event triggers (manual, CREATE EVENT TRIGGER). Without `triggers`
    every answer is the whole of the facts: the same deltas, for more time.
    """
    whole = [_returned(one(version).replace("{locked}", "")) for one in queries.ALL]
    some = _returned(queries.of_relations("v_oids"))
    changes = _CHANGES.replace("{everything}", "\n".join(whole)).replace("{some}", some)
    changes = changes.replace("{always}", "" if triggers else "whole := true;")
    return f"{_SETUP}{_TRIGGERS if triggers else ''}{changes}"


def _returned(facts: str) -> str:
    """A statement of facts as rows of the function."""
    columns = ", ".join(f"q.f{number}::text" for number in range(1, 6))
    return f"RETURN QUERY SELECT 'fact', {columns} FROM ({facts}) AS q(f1, f2, f3, f4, f5);"
