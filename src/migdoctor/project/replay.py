"""Runs a project's own upgrade on the doctor's shadow, and records each statement and its effect.

Loaded by agent.py, under the same rules: Python >= 3.8, the project's SQLAlchemy >= 1.3 and alembic
>= 1.4, nothing of migdoctor. `agent` is that file's namespace, set by it. Nothing runs before
configure() has shown that its connection leads to the shadow: the connection was made by the agent,
the server agrees, and the doctor's random marker is there.

Facts are raw rows here (of the watch function on PostgreSQL, of sqlite_master and one pragma on
SQLite); the doctor turns them into facts with the code that reads live schemas.
"""

from __future__ import annotations

import datetime
import decimal
import importlib
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

agent: Any = None
CONTROL = re.compile(
    r"\s*(begin|commit|rollback|savepoint|release|end|abort|start\s+transaction"
    r"|set\s+(session\s+characteristics|transaction))\b",
    re.IGNORECASE,
)
CHANGES_ROWS = re.compile(r"\s*(insert|update|delete|merge|replace|truncate|copy)\b", re.IGNORECASE)
# A writing statement may begin with WITH.
WRITES_ROWS = re.compile(
    r"\s*(insert|update|delete|merge|replace|truncate|copy|with\b.*\b(insert|update|delete))\b",
    re.IGNORECASE | re.DOTALL,
)
ROWS = re.compile(
    r"\s*\(*\s*(select|with|values|table|insert|update|delete|merge|replace|truncate|copy|do|call)\b",
    re.IGNORECASE,
)
REFLECTION = re.compile(
    r"\s*(pragma|show|explain)\b"
    r"|\s*(select|with)\b.*\b(pg_catalog|pg_class|pg_type|pg_enum|pg_index(es)?|pg_tables"
    r"|pg_namespace|pg_constraint|information_schema|sqlite_(temp_)?(master|schema)|pragma_\w+"
    r"|to_regclass|current_schema|current_database|version\(\))",
    re.IGNORECASE | re.DOTALL,
)
PLACEHOLDER = re.compile(
    r"'(?:[^']|'')*'|%%|%\((?P<name>[^)]+)\)s|(?P<next>%s|\?)|\$(?P<number>\d+)(?![\d$])"
)
SCHEMA_VERBS = re.compile(r"\b(create|alter|drop|grant|revoke|reassign|comment)\b[^;]*", re.I)
MANY = 200  # rows of one executemany that are written out


class Recorder:
    """What ran so far, and what runs now."""

    def __init__(self, question: Any) -> None:
        self.question = question
        self.start: list[Any] = []  # deltas: to the empty database, to the models' own, to the base
        self.stands: list[str] = []  # revisions that the base already holds
        self.revisions: list[Any] = []  # [id, [[sql, data, batch, autocommit, delta], ...]]
        self.failed: Any = None
        self.skipped: list[Any] = []
        self.total = 0
        self.now: Any = None
        self.watch: Any = None
        self.context: Any = None  # the MigrationContext that may run, None before it is verified
        self.quiet = False
        self.batch: Any = None
        self.batches = 0
        self.autocommit = False
        self.started = False
        self.finished = False
        self.deadline = time.monotonic() + question["limit"]
        self.said = 0.0
        self.hook: Any = None  # for each configure() call
        names = "|".join({re.escape(question["version_table"]), "alembic_version"})
        self.mine = re.compile(rf"\b({names})\b")
        lacking = "|".join(map(re.escape, question["lacking"])) or "(?!)"
        self.lacking = re.compile(
            rf"\s*(create|alter)\s+extension\b.*\b({lacking})\b", re.IGNORECASE | re.DOTALL
        )
        beyond = question["beyond"] or "(?!)"
        self.beyond = re.compile(
            rf"(\s|--[^\n]*\n|/\*.*?\*/)*({beyond})", re.IGNORECASE | re.DOTALL
        )

    # --- the plan of steps ---

    def steps(self, script: Any) -> Any:
        """The function that alembic asks for what to run: from nothing to all heads."""

        def plan(heads: Any, context: Any) -> list[Any]:
            stamps = []
            self.start = [self.watch.collect(context.connection, True)]
            if self.question["from_models"] and not heads:
                heads = self.build_base(script, context)
                stamps = list(script._stamp_revs(heads, ())) if heads else []
            else:
                self.try_models(context)
            found = list(script._upgrade_revs("heads", heads))
            if self.question["order"]:
                place = {name: n for n, name in enumerate(self.question["order"])}
                found.sort(key=lambda step: place.get(step.revision.revision, len(place)))
            self.total = len(found)
            self.start.append(self.watch.collect(context.connection, True))
            self.started = True
            for step in found:
                step.migration_fn = self.step(step)
            return stamps + found

        return plan

    def step(self, step: Any) -> Any:
        upgrade = step.migration_fn
        name = step.revision.revision

        def run(*args: Any, **kw: Any) -> None:
            if time.monotonic() > self.deadline:
                self.fail(name, f"the time limit of {self.question['limit']:g} s was reached")
                raise agent.Stop
            self.say()
            self.now, self.batches = [name, []], 0
            try:
                if self.question["tolerant"]:
                    self.try_out(upgrade, args, kw)
                else:
                    upgrade(*args, **kw)
                    self.flush()
            except BaseException as error:
                self.fail(name, agent._one_line(error))
                raise
            self.revisions.append(self.now)
            self.now = None

        return run

    def try_out(self, upgrade: Any, args: Any, kw: Any) -> None:
        """One revision inside a savepoint; what fails leaves nothing behind."""
        connection = self.context.connection
        self.raw(connection, "SAVEPOINT migdoctor")
        try:
            upgrade(*args, **kw)
            self.flush()
        except Exception as error:
            self.skipped.append([self.now[0], agent._one_line(error)])
            self.now[1] = None
            with suppress(Exception):
                self.raw(connection, "ROLLBACK TO SAVEPOINT migdoctor")
            self.watch.collect(connection, True)
        with suppress(Exception):
            self.raw(connection, "RELEASE SAVEPOINT migdoctor")

    def fail(self, name: str, error: str) -> None:
        self.failed = self.failed or [name, error]
        self.now = None

    def create_all(self, context: Any) -> None:
        for metadata in agent.metadatas(context.opts.get("target_metadata")):
            metadata.create_all(context.connection)
        self.start.append(self.watch.collect(context.connection, True))

    def try_models(self, context: Any) -> None:
        """Note what the models' own create_all() makes, and take it back at once."""
        if not agent.metadatas(context.opts.get("target_metadata")):
            return
        ends: tuple[str, ...] = ("ROLLBACK TO SAVEPOINT migdoctor", "RELEASE SAVEPOINT migdoctor")
        held = self.hold(context)
        try:
            self.raw(context.connection, "SAVEPOINT migdoctor")
        except Exception:  # the driver opens no transaction by itself
            self.raw(context.connection, "BEGIN")
            ends = ("ROLLBACK",)
        with suppress(Exception):  # models that the shadow cannot hold are no part of the history
            self.create_all(context)
        for end in ends:
            self.raw(context.connection, end)
        if held is not None:
            held.rollback()

    def build_base(self, script: Any, context: Any) -> Any:
        """The models' own tables, taken back revision by revision as far as downgrades go.

        Returns the revisions that the base stands at: () for the history's beginning.
        """
        left = {r.revision: r for r in script.walk_revisions()}
        held = self.hold(context)
        self.create_all(context)
        self.settle(context)
        for step in script._downgrade_revs("base", tuple(script.get_heads())):
            self.raw(context.connection, "SAVEPOINT migdoctor")
            try:
                step.migration_fn()
            except Exception as error:
                self.skipped.append([step.revision.revision, agent._one_line(error)])
                self.raw(context.connection, "ROLLBACK TO SAVEPOINT migdoctor")
                break
            del left[step.revision.revision]
            with suppress(Exception):
                self.raw(context.connection, "RELEASE SAVEPOINT migdoctor")
            self.settle(context)
        if held is not None:
            held.commit()
        self.stands = list(left)
        followed = {down for r in left.values() for down in r._all_down_revisions}
        return tuple(name for name in left if name not in followed)

    def hold(self, context: Any) -> Any:
        """A transaction, if there is none: outside, SQLAlchemy < 2 commits each DDL statement."""
        return None if context.connection.in_transaction() else context.connection.begin()

    def settle(self, context: Any) -> None:
        """Commit on PostgreSQL: a revision may look at the base through a connection of its own."""
        if context.dialect.name == "postgresql":
            context.connection.connection.commit()

    def raw(self, connection: Any, sql: str) -> Any:
        """Run text on the driver's own cursor, unseen by listeners."""
        return driver_rows(connection, sql)

    def say(self) -> None:
        if time.monotonic() - self.said > 0.1:
            self.said = time.monotonic()
            agent.State.say({"progress": [len(self.revisions), self.total]})

    # --- statements ---

    def before(
        self,
        connection: Any,
        _cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: Any,
    ) -> Any:
        """Replace what must not run: reads before the marker was seen, data that is left out."""
        replaced = self.goes_beyond(statement)
        if replaced:
            pass
        elif self.context is None:
            # An empty database has no rows for an env.py that asks for some before it migrates.
            replaced = bool(
                re.match(r"\s*select\b.*\bfrom\b", statement, re.IGNORECASE | re.DOTALL)
                and not REFLECTION.match(statement)
            )
        elif self.now is not None and not self.mine.search(statement):
            replaced = bool(
                (self.question["neutral"] and not self.batch and WRITES_ROWS.match(statement))
                or self.lacking.match(statement)
            )
        if not replaced:
            return statement, parameters
        if context is not None:
            context._migdoctor_said = (statement, parameters)
        if many and connection.dialect.name == "sqlite":  # executemany() takes no SELECT
            version_table = self.question["version_table"]
            return f'DELETE FROM "{version_table}" WHERE 1 = 0', emptied(parameters)
        return "SELECT 1 WHERE 1 = 0", emptied(parameters)

    def goes_beyond(self, statement: str) -> bool:
        """Whether a statement is only about more than the database; one that mixes both fails."""
        if re.match(r"\s*do\b", statement, re.IGNORECASE):
            parts = [match[0] for match in SCHEMA_VERBS.finditer(statement)]
        else:
            parts = [part for part in statement.split(";") if part.strip()]
        found = {bool(self.beyond.match(part)) for part in parts}
        if found == {True, False}:
            raise PermissionError("roles, databases and settings of a whole server are not changed")
        return found == {True}

    def after(
        self,
        connection: Any,
        _cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: Any,
    ) -> None:
        if self.now is None or self.quiet:
            return
        statement, parameters = getattr(context, "_migdoctor_said", (statement, parameters))
        if CONTROL.match(statement):
            if re.match(r"\s*(rollback|abort)", statement, re.IGNORECASE):
                self.watch.resync = True
            return
        if REFLECTION.match(statement):
            return
        delta = None if CHANGES_ROWS.match(statement) else self.watch.collect(connection)
        if self.mine.search(statement) and not delta:
            return
        data = bool(ROWS.match(statement)) and not delta
        text = shown(statement, parameters, context)
        self.keep(text, data, self.is_autocommit(connection), delta)

    def keep(self, text: str, data: bool, autocommit: bool, delta: Any) -> None:
        self.now[1].append([text, data and not self.batch, self.batch, autocommit, delta])

    def flush(self) -> None:
        """What changed without a statement that SQLAlchemy has seen."""
        delta = self.watch.collect(self.context.connection)
        if delta:
            self.keep("-- sent around SQLAlchemy", False, False, delta)

    def rolled_back(self, *_args: Any) -> None:
        if self.watch is not None:
            self.watch.resync = True

    def is_autocommit(self, connection: Any) -> bool:
        if self.autocommit:
            return True
        raw = agent._dbapi_connection(connection)
        if connection.dialect.name == "sqlite":
            level = getattr(raw, "isolation_level", "")
            return level is None and not getattr(raw, "in_transaction", False)
        return getattr(raw, "autocommit", False) is True


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


# --- nothing but the shadow -----------------------------------------------------------------------


class Guard:
    """While a replay runs, drivers open the shadow for the agent and nothing for anybody else."""

    installed = False
    on = False
    strict = False  # revisions run: no network at all


@contextmanager
def only_shadow() -> Iterator[None]:
    """Close the drivers' own entrances; drivers that somebody might import later, too."""
    if not Guard.installed:
        sys.addaudithook(lambda event, args: refuse(event, args))
        Guard.installed = True
    closed: list[Any] = []
    Guard.on, Guard.strict = True, False
    for name in ("psycopg2", "psycopg", "asyncpg"):
        with suppress(Exception):
            importlib.import_module(name)
    agent.State.on_opening = lambda: close_doors(closed)
    close_doors(closed)
    try:
        yield
    finally:
        Guard.on = False
        agent.State.on_opening = None
        for owner, name, real in closed:
            setattr(owner, name, real)


def close_doors(closed: list[Any]) -> None:
    """libpq raises no audit event: its drivers' innermost entrances open for the agent only."""
    found = []
    if "psycopg2" in sys.modules:
        found.append((sys.modules["psycopg2"], "_connect"))
    if "psycopg" in sys.modules:
        module = sys.modules["psycopg"]
        found += [(module.Connection, "_get_connection_params")]
        found += [(module.AsyncConnection, "_get_connection_params")]
    if "asyncpg.connect_utils" in sys.modules:
        found.append((sys.modules["asyncpg.connect_utils"], "_connect"))
    for owner, name in found:
        real = vars(owner).get(name)
        if real is None or any(entry[:2] == (owner, name) for entry in closed):
            continue
        closed.append((owner, name, real))
        setattr(owner, name, door(real))


def door(real: Any) -> Any:
    inner = getattr(real, "__func__", real)

    def through(*args: Any, **kw: Any) -> Any:
        if not agent.State.opening:
            raise PermissionError("a connection past SQLAlchemy is refused during a replay")
        return inner(*args, **kw)

    return classmethod(through) if isinstance(real, classmethod) else through


def refuse(event: str, args: Any) -> None:
    """Audit hook: SQLite files and sockets that are not the shadow's."""
    if not Guard.on:
        return
    if event == "sqlite3.connect" and not agent.State.opening:
        name = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
        if name not in (":memory:", ""):
            raise PermissionError("a SQLite file past SQLAlchemy is refused during a replay")
    if event == "socket.connect" and not agent.State.opening:
        local = isinstance(args[1], (str, bytes))
        if ".s.PGSQL." in os.fsdecode(args[1]) if local else Guard.strict:
            raise PermissionError("a connection past SQLAlchemy is refused during a replay")


# --- the question ---------------------------------------------------------------------------------


def verify_marker(connection: Any, question: Any) -> None:
    """Stop unless this very connection leads to the database that the doctor marked."""
    agent.verify(connection, question)
    try:
        rows = agent._query(connection, question["marker_query"])
    except Exception as error:
        raise agent.Failure("not-ours", f"the shadow's marker cannot be read: {error}") from None
    if [str(row[0]) for row in rows] != [str(question["marker"])]:
        raise agent.Failure("not-ours", "the connection does not lead to the shadow")


def prepared(question: Any) -> Recorder:
    """A recorder, and the hook that lets one verified context run."""
    recorder = Recorder(question)

    def hook(environment: Any, _given: Any) -> None:
        context = environment.get_context()
        if recorder.context is not None:
            return  # one position a report: that of the first context
        if context.connection is None:
            raise agent.Failure("not-ours", "env.py gave configure() no connection")
        verify_marker(context.connection, question)
        agent.leave_network()
        Guard.strict = True
        watch = question["watch"]
        recorder.watch = (
            Postgres(watch["changes"])
            if context.dialect.name == "postgresql"
            else Sqlite(watch["objects"], watch["columns"])
        )
        context._migrations_fn = recorder.steps(environment.script)
        recorder.context = context

    recorder.hook = hook
    return recorder


def run_if_wanted(recorder: Recorder, context: Any, real: Any, kw: Any) -> None:
    """run_migrations() of the verified context; of any other one, nothing."""
    if context is not recorder.context or recorder.finished:
        return
    try:
        with listening(recorder):
            real(context, **kw)
            if recorder.revisions:
                late = recorder.watch.collect(context.connection, True)
                if late and recorder.revisions[-1][1] is not None:
                    recorder.revisions[-1][1].append(
                        ["-- after the revision", False, None, 0, late]
                    )
    finally:
        recorder.finished = True


@contextmanager
def listening(recorder: Recorder) -> Iterator[None]:
    """Note rebuilds and autocommit blocks while the revisions run."""
    from alembic.operations import batch
    from alembic.runtime import migration

    rebuild: Any = batch.ApplyBatchImpl._create
    block: Any = getattr(migration.MigrationContext, "autocommit_block", None)

    def create(self: Any, *args: Any, **kw: Any) -> Any:
        recorder.batches += 1
        name = str(self.table.name)
        used = recorder.now and any(entry[2] == name for entry in recorder.now[1])
        recorder.batch = f"{name}#{recorder.batches}" if used else name
        try:
            return rebuild(self, *args, **kw)
        finally:
            recorder.batch = None

    @contextmanager
    def autocommit_block(self: Any) -> Iterator[None]:
        with block(self):
            recorder.autocommit = True
            try:
                yield
            finally:
                recorder.autocommit = False

    batch.ApplyBatchImpl._create = create  # type: ignore[method-assign]  # put back below
    if block:
        # A method of alembic is replaced on purpose, and put back: mypy is told so.
        migration.MigrationContext.autocommit_block = autocommit_block  # type: ignore[method-assign]
    try:
        yield
    finally:
        # A method of alembic is replaced on purpose, and put back: mypy is told so.
        batch.ApplyBatchImpl._create = rebuild  # type: ignore[method-assign]
        if block:
            # A method of alembic is replaced on purpose, and put back: mypy is told so.
            migration.MigrationContext.autocommit_block = block  # type: ignore[method-assign]


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """The events of every engine, and the way through run_migrations()."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    listeners = [
        ("before_cursor_execute", recorder.before, {"retval": True}),
        ("after_cursor_execute", recorder.after, {}),
        ("rollback", recorder.rolled_back, {}),
        ("rollback_savepoint", recorder.rolled_back, {}),
    ]
    for name, function, options in listeners:
        event.listen(Engine, name, function, **options)
    agent.State.run = lambda context, real, kw: run_if_wanted(recorder, context, real, kw)
    try:
        yield
    finally:
        agent.State.run = None
        for name, function, _options in listeners:
            event.remove(Engine, name, function)


def answer(recorder: Recorder, error: Any) -> dict[str, Any]:
    """The recording; raises where nothing could be run at all."""
    if not recorder.started:
        if error is not None:
            raise error
        raise agent.Failure("no-context", "env.py migrated nothing in the context that is meant")
    return {
        "start": recorder.start,
        "stands": recorder.stands,
        "revisions": [r for r in recorder.revisions if r[1] is not None],
        "failed": recorder.failed,
        "skipped": recorder.skipped,
        "total": recorder.total,
    }


def replay(question: Any) -> dict[str, Any]:
    """Run env.py on the shadow; a revision that fails ends the recording there."""
    from sqlalchemy.engine.url import make_url

    try:
        # A shadow with a host name is behind the network: that is left once it has been reached.
        return attempt(question, not make_url(question["url"]).host)
    except BaseException as error:
        if not agent._needs_network(error):
            raise
        agent.forget_pools()
        return attempt(question, False)  # settings from the network, until configure()


def inject(question: Any, answer_file: Any) -> None:
    """Inside another program (`--via`): record its first fitting context, then end the process.

    A program that migrates nothing ends by itself, without an answer.
    """
    recorder = prepared(question)
    agent.State.target = (question["url"], question["connect_args"], False)
    agent.State.pragmas = tuple(question.get("pragmas", ()))
    # Kept, as what the end of these would undo has to hold until the process ends.
    agent.State.kept = [only_shadow(), recording(recorder)]
    for entered in agent.State.kept:
        entered.__enter__()

    def run(context: Any, real: Any, kw: Any) -> None:
        error = None
        try:
            run_if_wanted(recorder, context, real, kw)
        except BaseException as failure:
            error = failure
        if context is recorder.context:
            finish(error)

    def finish(error: Any) -> None:
        try:
            said = {"ok": answer(recorder, error)}
        except BaseException as failure:
            said = {"failed": agent.described(failure)}
        agent.leave_with(said, answer_file)

    def hook(environment: Any, given: Any) -> None:
        try:
            recorder.hook(environment, given)
        except BaseException as failure:
            finish(failure)

    agent.State.run = run
    agent.State.hook = hook


def attempt(question: Any, isolated: bool) -> dict[str, Any]:
    recorder = prepared(question)
    error = None
    network = agent.no_network if isolated else agent.with_network
    with (
        agent.redirection(question),
        only_shadow(),
        network(),
        recording(recorder),
    ):
        try:
            agent.run_env(question["project"], recorder.hook)
        except BaseException as failure:
            error = failure
    return answer(recorder, error)
