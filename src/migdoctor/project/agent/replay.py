"""Runs a project's own upgrade on the doctor's shadow, and records each statement and its effect.

Nothing runs before configure() has shown that its connection leads to the shadow: the connection
was made by the agent, the server agrees, and the doctor's random marker is there.

Facts are raw rows here (of the watch function on PostgreSQL, of sqlite_master and one pragma on
SQLite); the doctor turns them into facts with the code that reads live schemas.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import guard, statements
from .capture import metadatas
from .connections import (
    dbapi_connection,
    forget_pools,
    leave_network,
    no_network,
    redirection,
    with_network,
)
from .environment import run_env
from .failures import described, needs_network, one_line
from .state import Failure, State, Stop, leave_with

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
SCHEMA_VERBS = re.compile(r"\b(create|alter|drop|grant|revoke|reassign|comment)\b[^;]*", re.I)


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
                raise Stop
            self.say()
            self.now, self.batches = [name, []], 0
            try:
                if self.question["tolerant"]:
                    self.try_out(upgrade, args, kw)
                else:
                    upgrade(*args, **kw)
                    self.flush()
            except BaseException as error:
                self.fail(name, one_line(error))
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
            self.skipped.append([self.now[0], one_line(error)])
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
        for metadata in metadatas(context.opts.get("target_metadata")):
            metadata.create_all(context.connection)
        self.start.append(self.watch.collect(context.connection, True))

    def try_models(self, context: Any) -> None:
        """Note what the models' own create_all() makes, and take it back at once."""
        if not metadatas(context.opts.get("target_metadata")):
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
                self.skipped.append([step.revision.revision, one_line(error)])
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
        return statements.driver_rows(connection, sql)

    def say(self) -> None:
        if time.monotonic() - self.said > 0.1:
            self.said = time.monotonic()
            State.say({"progress": [len(self.revisions), self.total]})

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
        nothing = statements.emptied(parameters)
        if many and connection.dialect.name == "sqlite":  # executemany() takes no SELECT
            version_table = self.question["version_table"]
            return f'DELETE FROM "{version_table}" WHERE 1 = 0', nothing
        return "SELECT 1 WHERE 1 = 0", nothing

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
        text = statements.shown(statement, parameters, context)
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
        raw = dbapi_connection(connection)
        if connection.dialect.name == "sqlite":
            level = getattr(raw, "isolation_level", "")
            return level is None and not getattr(raw, "in_transaction", False)
        return getattr(raw, "autocommit", False) is True


# --- the question ---------------------------------------------------------------------------------


def prepared(question: Any) -> Recorder:
    """A recorder, and the hook that lets one verified context run."""
    recorder = Recorder(question)

    def hook(environment: Any, _given: Any) -> None:
        context = environment.get_context()
        if recorder.context is not None:
            return  # one position a report: that of the first context
        if context.connection is None:
            raise Failure("not-ours", "env.py gave configure() no connection")
        guard.verify_marker(context.connection, question)
        leave_network()
        guard.Guard.strict = True
        watch = question["watch"]
        recorder.watch = (
            statements.Postgres(watch["changes"])
            if context.dialect.name == "postgresql"
            else statements.Sqlite(watch["objects"], watch["columns"])
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

    batches = replaced(batch.ApplyBatchImpl, "_create", create)
    blocks = replaced(migration.MigrationContext, "autocommit_block", autocommit_block)
    with batches, blocks:
        yield


@contextmanager
def replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    """Another method for a while, where there is one."""
    real = getattr(owner, name, None)
    if real is not None:
        setattr(owner, name, new)
    try:
        yield
    finally:
        if real is not None:
            setattr(owner, name, real)


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
    State.run = lambda context, real, kw: run_if_wanted(recorder, context, real, kw)
    try:
        yield
    finally:
        State.run = None
        for name, function, _options in listeners:
            event.remove(Engine, name, function)


def answer(recorder: Recorder, error: Any) -> dict[str, Any]:
    """The recording; raises where nothing could be run at all."""
    if not recorder.started:
        if error is not None:
            raise error
        raise Failure("no-context", "env.py migrated nothing in the context that is meant")
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
        if not needs_network(error):
            raise
        forget_pools()
        return attempt(question, False)  # settings from the network, until configure()


def inject(question: Any, answer_file: Any) -> None:
    """Inside another program (`--via`): record its first fitting context, then end the process.

    A program that migrates nothing ends by itself, without an answer.
    """
    recorder = prepared(question)
    State.target = (question["url"], question["connect_args"], False)
    State.pragmas = tuple(question.get("pragmas", ()))
    # Kept, as what the end of these would undo has to hold until the process ends.
    State.kept = [guard.only_shadow(), recording(recorder)]
    for entered in State.kept:
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
            said = {"failed": described(failure)}
        leave_with(said, answer_file)

    def hook(environment: Any, given: Any) -> None:
        try:
            recorder.hook(environment, given)
        except BaseException as failure:
            finish(failure)

    State.run = run
    State.hook = hook


def attempt(question: Any, isolated: bool) -> dict[str, Any]:
    recorder = prepared(question)
    error = None
    network = no_network if isolated else with_network
    closed = guard.only_shadow()
    with redirection(question), closed, network(), recording(recorder):
        try:
            run_env(question["project"], recorder.hook)
        except BaseException as failure:
            error = failure
    return answer(recorder, error)
