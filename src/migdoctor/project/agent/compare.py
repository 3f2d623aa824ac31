"""Compares a project's models with a database, and drafts revisions that nobody has written."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterator

from .capture import metadatas
from .connections import query, verify
from .environment import load, run_env
from .failures import one_line
from .state import OWN_TABLES, Failure, Stop
from .traced import Trace


def compare(environment: Any, question: dict[str, Any]) -> dict[str, Any]:
    """Differences, the statements to the models, and the revision that records the database."""
    from alembic.autogenerate import produce_migrations

    context = environment.get_context()
    verify(context.connection, question)
    wanted = metadatas(context.opts.get("target_metadata"))
    if not wanted:
        raise Failure("no-models", "env.py gives no target_metadata")
    if question["do"] == "indexes":
        return {"indexes": index_statements(wanted, context.dialect, question["table"])}
    metadata: Any = wanted[0] if len(wanted) == 1 else wanted
    leave_out_own(context.opts)
    if context.dialect.name == "sqlite":
        context.opts["render_as_batch"] = True  # SQLite cannot run the plain operations
    equal: dict[str, Any] = {"drifts": [], "restore": [], "adopt": None, "why_not": ""}
    trace = Trace(environment, question, wanted)
    if trace.same_as(question["kept"]):
        return dict(equal, kept=question["kept"])
    if context.dialect.name == "postgresql":
        ask_owners_at_once(context)
    differences: Any = produce_migrations(context, metadata).upgrade_ops
    kept = trace.of_equality()
    drifts = [described_diff(diff) for diff in flat(differences.as_diffs())]
    if not drifts:
        return dict(equal, kept=kept)
    why_not: list[str] = []
    answer: dict[str, Any] = {"drifts": drifts, "restore": None, "adopt": None, "kept": None}
    attempts = (("adopt", adopting), ("restore", restoring))  # restoring changes a SQLite clone
    for name, make in attempts:
        try:
            answer[name] = make(environment, metadata, differences, question)
        except Exception as error:
            why_not.append("%s: %s" % (name, one_line(error)))
    return dict(answer, why_not="; ".join(why_not))


def leave_out_own(opts: Any) -> None:
    """Keep leftovers of batch mode and tables put aside by the doctor out of the comparison."""
    theirs, their_names = opts.get("include_object"), opts.get("include_name")

    def include_object(thing: Any, name: str, kind: str, reflected: Any, compare_to: Any) -> bool:
        if kind == "table" and str(name).startswith(OWN_TABLES):
            return False
        return theirs is None or theirs(thing, name, kind, reflected, compare_to)

    def include_name(name: str, kind: str, parents: Any) -> bool:
        if kind == "table" and str(name).startswith(OWN_TABLES):
            return False
        return their_names is None or their_names(name, kind, parents)

    opts["include_object"] = include_object
    opts["include_name"] = include_name


_OWNERS = """
SELECT CAST(CAST(s.oid AS pg_catalog.regclass) AS text), a.attname
FROM pg_catalog.pg_class s
JOIN pg_catalog.pg_depend d ON d.objid = s.oid
  AND d.classid = CAST('pg_catalog.pg_class' AS pg_catalog.regclass) AND d.refclassid = d.classid
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S'
"""


def ask_owners_at_once(context: Any) -> None:
    """The column that owns each sequence, in one question.

    alembic asks for it column by column, to leave the default of a SERIAL column out of the
    comparison: 500 such columns are 500 round-trips.
    """
    from sqlalchemy import text

    ask = getattr(context.impl, "autogen_column_reflect", None)
    if ask is None:
        return
    rows = context.connection.execute(text(_OWNERS))
    owners: dict[str, str] = {row[0]: row[1] for row in rows}

    def reflected(inspector: Any, table: Any, column: Any) -> None:
        found = re.match(r"nextval\('(.+)'::regclass\)$", str(column.get("default")))
        owner = owners.get(found.group(1).replace("''", "'")) if found else None
        if owner is None:
            ask(inspector, table, column)
        elif owner == column["name"]:
            del column["default"]

    context.impl.autogen_column_reflect = reflected


def flat(diffs: Any) -> Iterator[Any]:
    """alembic groups the changes of one column in a list."""
    for diff in diffs:
        if isinstance(diff, list):
            for inner in diff:
                yield inner
        else:
            yield diff


def described_diff(diff: Any) -> list[str]:
    """[op, subject, text] of one of alembic's diff tuples; 'the models' is where it leads to."""
    op = str(diff[0])
    verb, _, kind = op.partition("_")
    if verb == "modify":
        schema, table, column, _existing, old, new = diff[1:7]
        subject = _dotted(schema, table, column)
        said = "%s %s: the database has %s, the models %s"
        return [op, subject, said % (kind.replace("_", " "), subject, _shown(old), _shown(new))]
    if kind == "column":
        subject = _dotted(diff[1], diff[2], diff[3].name)
        what = "column %s %s" % (subject, _shown(diff[3].type))
    elif kind == "table":
        subject = _dotted(diff[1].schema, diff[1].name)
        what = "table %s" % subject
    elif kind in ("table_comment",):
        subject = _dotted(diff[1].schema, diff[1].name)
        what = "comment of table %s" % subject
    else:
        what, subject = _constraint(kind, diff[1])
    if verb == "add":
        return [op, subject, "the models have %s, the database does not" % what]
    return [op, subject, "the database has %s, the models do not" % what]


def _constraint(kind: str, thing: Any) -> tuple[str, str]:
    """(words, subject) of an index or constraint, or of anything a plugin may add."""
    words = {"index": "index", "fk": "foreign key"}.get(kind, "constraint")
    table = getattr(thing, "table", None)
    if table is None:
        return "%s %s" % (kind.replace("_", " "), thing), str(thing)
    owner = _dotted(table.schema, table.name)
    columns = ", ".join(str(getattr(c, "name", c)) for c in getattr(thing, "columns", ()))
    name = thing.name or "without name"
    return "%s %s (%s) on %s" % (words, name, columns, owner), _dotted(owner, thing.name)


def _dotted(*names: Any) -> str:
    return ".".join(str(name) for name in names if name)


def _shown(value: Any) -> str:
    if value is None or value is False:
        return "none" if value is None else "no"
    if value is True:
        return "yes"
    text = getattr(value, "arg", value)  # a server default
    return " ".join(str(getattr(text, "text", text)).split()) or type(value).__name__


def index_statements(wanted: Any, dialect: Any, name: str) -> list[str]:
    """CREATE INDEX of a table of the models, `schema.table` outside the default schema."""
    from sqlalchemy.schema import CreateIndex

    tables = [table for metadata in wanted for table in metadata.tables.values()]
    indexes = [i for t in tables if _dotted(t.schema, t.name) == name for i in t.indexes]
    return sorted(_tidy(str(CreateIndex(index).compile(dialect=dialect))) for index in indexes)


def _tidy(statement: str) -> str:
    return statement.replace("\t", "    ").strip().rstrip(";").rstrip()


# --- restore: from the database to the models -----------------------------------------------------


def restoring(environment: Any, metadata: Any, differences: Any, _question: Any) -> list[Any]:
    """[[sql, [hazards]]], by alembic's own operations."""
    context = environment.get_context()
    if context.dialect.name == "sqlite":
        return _restore_on_clone(context, differences)
    return _restore_offline(context, differences)


def _restore_offline(context: Any, differences: Any) -> list[Any]:
    """The statements of as_sql mode, operation by operation; nothing is sent to the server."""
    from alembic.operations import Operations
    from alembic.operations.ops import CreateTableOp
    from alembic.runtime.migration import MigrationContext

    said: list[str] = []
    opts = {"as_sql": True, "literal_binds": True}
    offline: Any = MigrationContext.configure(dialect=context.dialect, opts=opts)
    offline.impl.static_output = said.append
    operations = Operations(offline)
    statements, created = [], set()
    for operation in leaves(differences):
        del said[:]
        operations.invoke(detached(operation))
        owner = (getattr(operation, "schema", None), getattr(operation, "table_name", None))
        hazards = _hazards(operation, owner in created)
        if isinstance(operation, CreateTableOp):
            created.add(owner)
        statements += [[_tidy(text), hazards] for text in said if _tidy(text)]
    return statements


def leaves(operation: Any) -> Iterator[Any]:
    """The single operations of a tree of them, in order."""
    if hasattr(operation, "ops"):
        for inner in operation.ops:
            for leaf in leaves(inner):
                yield leaf
    else:
        yield operation


def detached(operation: Any) -> Any:
    """An operation with a column of its own: alembic < 1.5 does not copy that of the models."""
    column = getattr(operation, "column", None)
    if column is not None and column.table is not None:
        operation.column = (getattr(column, "_copy", None) or column.copy)()
    return operation


def _hazards(operation: Any, new_table: bool = False) -> list[str]:
    """What one operation may cost on PostgreSQL."""
    from alembic.operations import ops

    if isinstance(operation, ops.DropTableOp):
        return ["DELETES_DATA"]
    if new_table or isinstance(operation, ops.CreateTableOp):
        return []
    found = ["LOCKS_TABLE"]
    if isinstance(operation, ops.DropColumnOp):
        found.append("DELETES_DATA")
    if isinstance(operation, (ops.DropIndexOp, ops.DropConstraintOp)):
        found.append("DROPS_OBJECT")
    if isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None:
        found.append("REWRITES_TABLE")
    return sorted(found)


def _restore_on_clone(context: Any, differences: Any) -> list[Any]:
    """Run the operations in batch mode on the throw-away clone and keep what was sent."""
    from alembic.operations import Operations
    from sqlalchemy import event

    sent = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any
    ) -> None:
        if re.match(r"\s*(select|pragma|savepoint|release|rollback)\b", statement, re.IGNORECASE):
            return
        if parameters:
            raise Failure("restore", "a statement with parameters cannot be planned")
        sent.append(_tidy(statement))

    operations = Operations(context)
    triggers = _triggers(context.connection)
    statements = []
    event.listen(context.connection, "before_cursor_execute", note)
    try:
        for operation in differences.ops:
            del sent[:]
            _run_on_clone(operations, operation)
            hazards = _clone_hazards(operation, any("_alembic_tmp_" in text for text in sent))
            statements += [[text, hazards] for text in _in_order(sent)]
    finally:
        event.remove(context.connection, "before_cursor_execute", note)
    left = {row[0] for row in query(context.connection, "SELECT name FROM sqlite_master")}
    lost = [(name, sql) for name, table, sql in triggers if name not in left and table in left]
    return statements + [[_tidy_trigger(sql), []] for _name, sql in lost]


def _run_on_clone(operations: Any, operation: Any) -> None:
    from alembic.operations.ops import ModifyTableOps

    if isinstance(operation, ModifyTableOps):
        with operations.batch_alter_table(operation.table_name, schema=operation.schema) as batch:
            for inner in operation.ops:
                batch.invoke(detached(inner))
    elif hasattr(operation, "ops"):
        for inner in operation.ops:
            _run_on_clone(operations, inner)
    else:
        operations.invoke(operation)


def _clone_hazards(operation: Any, rebuilds: bool) -> list[str]:
    """What a block may cost on SQLite; the hazards of a rebuild belong to all its statements."""
    found = {"REWRITES_TABLE"} if rebuilds else set()
    for leaf in leaves(operation):
        found |= set(_hazards(leaf)) & {"DELETES_DATA", "DROPS_OBJECT"}
    return sorted(found)


def _in_order(sent: list[str]) -> list[str]:
    """alembic re-creates indexes from a set: sort the run at the end, so that plans are equal."""
    tail = len(sent)
    while tail and re.match(r"CREATE\s+(UNIQUE\s+)?INDEX", sent[tail - 1], re.IGNORECASE):
        tail -= 1
    return sent[:tail] + sorted(sent[tail:])


def _triggers(connection: Any) -> Any:
    return query(connection, "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")


def _tidy_trigger(sql: str) -> str:
    return sql.strip()  # ends with END; inner semicolons stay


# --- revision files that nobody has written yet ---------------------------------------------------


def adopting(
    environment: Any, metadata: Any, differences: Any, question: dict[str, Any]
) -> dict[str, Any]:
    """The revision that records what the database has: the way to the models, reversed."""
    from alembic.autogenerate.api import AutogenContext
    from alembic.autogenerate.render import _render_python_into_templatevars
    from alembic.operations import ops

    context = environment.get_context()
    autogen = AutogenContext(context, metadata=metadata)
    revision = ops.MigrationScript(
        question["rev_id"],
        ops.UpgradeOps(
            ops=differences.reverse().ops,
            upgrade_token=context.opts.get("upgrade_token") or "upgrades",
        ),
        ops.DowngradeOps(
            ops=differences.ops,
            downgrade_token=context.opts.get("downgrade_token") or "downgrades",
        ),
    )
    more = dict(environment.context_opts.get("template_args") or {}, config=environment.config)
    _render_python_into_templatevars(autogen, revision, more)
    return draft(environment.script, question["rev_id"], question["message"], "head", more)


def merge(question: dict[str, Any]) -> dict[str, Any]:
    """The merge revision of all heads, rendered as `alembic merge` does."""
    project = question["project"]
    config, script = load(project)
    more = {"config": config}
    wanted = str(_main_option(config, "revision_environment") or "").lower()
    if wanted in ("true", "1", "yes", "on"):
        environment = run_env(project, lambda *_given: None)
        more.update(environment.context_opts.get("template_args") or {})
    return draft(script, question["rev_id"], question["message"], question["heads"], more)


def _main_option(config: Any, name: str) -> Any:
    read = getattr(config, "get_alembic_option", None) or config.get_main_option
    return read(name)


def parents_of(text: str) -> Any:
    """The value of `down_revision` in a revision file; ... when it has none that is plain."""
    with suppress(SyntaxError, ValueError, IndexError):
        return ast.literal_eval(re.findall(r"(?m)^down_revision\b[^=\n]*=\s*(.*)$", text)[0])
    return ...


def draft(script: Any, rev_id: str, message: str, head: Any, template_args: Any) -> dict[str, Any]:
    """Let alembic generate a revision, and catch the text where it would write the file."""
    import alembic
    from mako.template import Template  # type: ignore[import-untyped]  # ships no stubs

    made = []

    def rendered(source: Any, path: Any, *_args: Any, **kw: Any) -> None:
        generic = Path(alembic.__file__).parent / "templates" / "generic" / "script.py.mako"
        # many packages leave their template out; "${down_revision}" in quotes spoils merges
        for template in (t for t in (Path(source), generic) if t.is_file()):
            text = Template(filename=str(template)).render_unicode(**kw)
            if parents_of(text) == kw.get("down_revision"):
                break
        made.append((str(path), text))
        raise Stop

    script._generate_template = rendered
    script._ensure_directory = lambda _path: None
    try:
        script.generate_revision(rev_id, message, refresh=True, head=head, **template_args)
    except Stop:
        pass
    finally:
        del script._generate_template, script._ensure_directory
    path, text = made[0]
    return {"id": rev_id, "path": str(Path(path).absolute()), "text": text}
