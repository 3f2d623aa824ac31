"""Where connections lead: nowhere, or to the address that the doctor gave."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from typing import Any, Iterator

from .null import Null
from .state import DRIVERS, WRITES, Failure, State


def take_over() -> None:
    """Wrap the one place where pools connect, and the two where migrations start."""
    from alembic.runtime import environment as alembic_environment
    from alembic.runtime import migration as alembic_migration
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import base

    records: Any = base._ConnectionRecord
    environments: Any = alembic_environment.EnvironmentContext
    contexts: Any = alembic_migration.MigrationContext
    real_connect = records._ConnectionRecord__connect
    real_configure = environments.configure

    def connect(record: Any, *args: Any, **kw: Any) -> None:
        pool = record._ConnectionRecord__pool
        if State.target is None:
            _connect_to_nothing(pool, record)
            return
        keep = pool._invoke_creator
        pool._invoke_creator = lambda *_record: redirected(pool._dialect)
        try:
            real_connect(record, *args, **kw)
        finally:
            pool._invoke_creator = keep
        record.info["migdoctor"] = (State.target[0], raw(record))

    def configure(environment: Any, *args: Any, **kw: Any) -> None:
        real_configure(environment, *args, **kw)
        if State.hook:
            State.hook(environment, kw)

    def before(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> tuple[str, Any]:
        # the server refuses writes by itself (read-only start-up option); this keeps an env.py
        # that runs CREATE SCHEMA on every command from failing because of that
        if State.target and State.target[2] and WRITES.match(statement):
            return "SELECT 1 WHERE 1 = 0", ([{}] if many else {})
        return statement, parameters

    real_environment_run = environments.run_migrations
    real_run = contexts.run_migrations

    def environment_run(environment: Any, **kw: Any) -> None:
        if State.run:
            real_environment_run(environment, **kw)

    def run(context: Any, **kw: Any) -> None:
        if State.run:
            State.run(context, real_run, kw)

    records._ConnectionRecord__connect = connect
    environments.configure = configure
    environments.run_migrations = environment_run
    contexts.run_migrations = run
    event.listen(Engine, "before_cursor_execute", before, retval=True)
    sys.addaudithook(_refuse_in_creator)


def _connect_to_nothing(pool: Any, record: Any) -> None:
    """Give the record a Null, after learning what the project would have connected with.

    The record is filled here instead of by SQLAlchemy, so that of the "connect" listeners only the
    project's run, on which its others rely: the drivers' own need a real connection, and the
    dialect's first-connect stays due for a real one.
    """
    dialect = pool._dialect
    State.pools.add(pool)
    State.handed_out = True
    null = Null(dialect)
    _note_arguments(pool, record, dialect, null)
    for name, value in _assumed(dialect).items():
        if getattr(dialect, name, None) is None:
            setattr(dialect, name, value)
    record.starttime = time.time()
    if hasattr(type(record), "dbapi_connection") or hasattr(record, "dbapi_connection"):
        record.dbapi_connection = null
        record.fresh = True
    else:
        record.connection = null  # SQLAlchemy 1.3
    for listener in list(pool.dispatch.connect):
        if not str(getattr(listener, "__module__", "")).startswith("sqlalchemy"):
            with suppress(Exception):
                listener(null, record)


def _assumed(dialect: Any) -> dict[str, Any]:
    """What a first connection would have told a dialect; replaced when a real one is made."""
    name = getattr(dialect, "name", "")
    if name == "sqlite":
        return {"server_version_info": (3, 40, 0), "default_isolation_level": "SERIALIZABLE"}
    schema = "public" if name == "postgresql" else None
    return {
        "server_version_info": (16, 0),
        "default_isolation_level": "READ COMMITTED",
        "default_schema_name": schema,
    }


def _note_arguments(pool: Any, record: Any, dialect: Any, null: Any) -> None:
    """Run the pool's own creator as far as the driver, keep what the driver would have got.

    The dialect's `connect` is called last, after every do_connect listener has changed the
    arguments. A `creator=` calls its driver itself: the drivers' entrances are closed meanwhile.
    """

    def through_dialect(*args: Any, **kw: Any) -> Any:
        _keep_arguments(dialect, args, kw, False)
        return null

    def through_driver(*args: Any, **kw: Any) -> Any:
        if "async_creator_fn" in kw:
            from sqlalchemy.util import await_only

            await_only(kw["async_creator_fn"](*args))
        elif State.in_creator is dialect:
            _keep_arguments(dialect, args, kw, True)
        return null

    def behind_driver(*args: Any, **kw: Any) -> None:
        _keep_arguments(dialect, args, kw, True)
        raise PermissionError("connections are closed while the doctor looks")

    entrances = doors(dialect)
    closed = []
    dialect.connect = through_dialect
    State.in_creator = dialect
    try:
        for owner, name in entrances:
            closed.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, through_driver if name == "connect" else behind_driver)
        pool._invoke_creator(record)
    except (KeyboardInterrupt, SystemExit, Exception):
        pass  # a creator may stumble over the Null; what it asked for is known by then
    finally:
        State.in_creator = None
        for owner, name, real in closed:
            if real is None:
                delattr(owner, name)
            else:
                setattr(owner, name, real)
        dialect.__dict__.pop("connect", None)


def doors(dialect: Any) -> list[tuple[Any, str]]:
    """(owner, attribute) of the entrances of every driver that is loaded."""
    found = [(sys.modules[name], "connect") for name in DRIVERS if name in sys.modules]
    if "psycopg2" in sys.modules:
        found.append((sys.modules["psycopg2"], "_connect"))  # for `from psycopg2 import connect`
    if "psycopg" in sys.modules:
        for owner in (sys.modules["psycopg"].Connection, sys.modules["psycopg"].AsyncConnection):
            found += [(owner, n) for n in ("connect", "_get_connection_params") if n in vars(owner)]
    dbapi = getattr(dialect, "dbapi", None)
    if dbapi is not None and all(owner is not dbapi for owner, _ in found):
        found.append((dbapi, "connect"))
    return [(owner, name) for owner, name in found if hasattr(owner, name)]


def _refuse_in_creator(event: str, args: Any) -> None:
    """Audit hook: a creator= that kept a driver function of its own gets no further than here."""
    if State.in_creator is not None and event in ("sqlite3.connect", "socket.connect"):
        if event == "sqlite3.connect":
            _keep_arguments(State.in_creator, [os.fsdecode(args[0])], {}, True)
        raise PermissionError("connections are closed while the doctor looks")


def _keep_arguments(dialect: Any, args: Any, kw: Any, direct: bool) -> None:
    dialect._migdoctor_arguments = (list(args), dict(kw), direct)


def redirected(dialect: Any) -> Any:
    """A connection to the doctor's address, made by the project's own driver."""
    from sqlalchemy.engine.url import make_url

    url, connect_args, _read_only = State.target
    url = make_url(url)
    if url.get_backend_name() != dialect.name:
        raise Failure("not-ours", "env.py asks for %s, not %s" % (dialect.name, url.drivername))
    args, keywords = dialect.create_connect_args(url)
    keywords = dict(keywords)
    keywords.update(connect_args)
    if dialect.driver == "asyncpg":
        settings = dict(re.findall(r"-c\s*(\S+?)=(\S+)", keywords.pop("options", "")))
        keywords["server_settings"] = dict(keywords.get("server_settings", {}), **settings)
        if "sslmode" in keywords:
            keywords["ssl"] = keywords.pop("sslmode")
    elif dialect.driver == "pg8000":
        settings = dict(re.findall(r"-c\s*(\S+?)=(\S+)", keywords.pop("options", "")))
        keywords["startup_params"] = settings
    if State.on_opening:
        State.on_opening()
    State.opening = True
    try:
        made = dialect.connect(*args, **keywords)
    finally:
        State.opening = False
    for pragma in State.pragmas:
        cursor = made.cursor()
        cursor.execute(pragma)
        cursor.close()
    return made


def forget_pools() -> None:
    """Empty the pools that hold Nulls."""
    for pool in list(State.pools):
        pool.dispose()
    State.pools = weakref.WeakSet()


@contextmanager
def no_network() -> Iterator[Any]:
    """Without a network where the kernel lets us (root); yields whether it is so.

    Drivers that are called directly are beyond SQLAlchemy, and libpq raises no audit event.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        isolated = libc.unshare(0x40000000) == 0  # CLONE_NEWNET, this thread only
        State.isolated = threading.get_ident() if isolated else None
        try:
            yield isolated
        finally:
            State.isolated = None
            if isolated:
                libc.setns(here, 0x40000000)
    finally:
        os.close(here)


@contextmanager
def with_network() -> Iterator[Any]:
    yield False


def leave_network() -> None:
    """Take the network from this thread for good, where that was not done; for what comes next."""
    if State.isolated != threading.get_ident():
        ctypes.CDLL(None, use_errno=True).unshare(0x40000000)


@contextmanager
def redirection(question: dict[str, Any]) -> Iterator[Any]:
    forget_pools()
    State.target = (question["url"], question["connect_args"], question["read_only"])
    State.pragmas = tuple(question.get("pragmas", ()))
    try:
        yield
    finally:
        State.target = None
        State.pragmas = ()


def verify(connection: Any, question: dict[str, Any]) -> None:
    """Stop unless this very connection was made by `redirected` and the server agrees."""
    from sqlalchemy.engine.url import make_url

    if connection is None:
        raise Failure("not-ours", "env.py gave configure() no connection")
    if isinstance(dbapi_connection(connection), Null):
        raise Failure("stale", "a connection from an earlier question is still in use")
    url_made_for, made = connection.info.get("migdoctor") or (None, None)
    if url_made_for != question["url"] or dbapi_connection(connection) is not made:
        raise Failure("not-ours", "env.py uses a connection that was not made here")
    url = make_url(question["url"])
    if connection.dialect.name == "sqlite":
        files = [row[2] for row in query(connection, "PRAGMA database_list") if row[1] == "main"]
        if [os.path.realpath(f) for f in files] != [os.path.realpath(url.database or "")]:
            raise Failure("not-ours", "the connection leads to another file")
        return
    name, read_only, now = query(
        connection,
        "SELECT current_database(), current_setting('default_transaction_read_only'), "
        "current_setting('transaction_read_only')",
    )[0]
    if name != (url.database or url.username):
        raise Failure("not-ours", "the connection leads to another database")
    if question["read_only"] and (read_only, now) != ("on", "on"):
        raise Failure("not-ours", "the connection is not read-only")


def query(connection: Any, sql: str) -> list[Any]:
    """Rows of one statement on the driver's own cursor.

    SQLAlchemy must not begin a transaction for it: an env.py may be about to begin its own way.
    """
    idle = not connection.in_transaction()
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        rows = list(cursor.fetchall())
    finally:
        cursor.close()
        if idle:
            connection.connection.rollback()
    return rows


def dbapi_connection(connection: Any) -> Any:
    fairy = getattr(connection, "connection", None)
    if fairy is None:
        return None
    return raw(fairy)


def raw(holder: Any) -> Any:
    """The driver's connection of a pool record or of what the pool lends out."""
    if hasattr(type(holder), "dbapi_connection") or hasattr(holder, "dbapi_connection"):
        return holder.dbapi_connection
    return holder.connection  # SQLAlchemy 1.3
