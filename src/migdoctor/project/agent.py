"""Answers questions about a project by running its own env.py, without touching its database.

This one file is started by the project's interpreter: Python >= 3.8, SQLAlchemy >= 1.3 and alembic
>= 1.4 of the project, and nothing of migdoctor. It reads one JSON question per line from one pipe
and writes one JSON answer per line to another; whatever the project prints goes elsewhere.

Every connection of SQLAlchemy comes out of a pool's connection record: engines, async engines,
`creator=` and bare pools alike, also those built at import. So one wrapper there, active from the
first moment, decides what a connection is:

* closed (the normal state): the arguments are noted and a `Null` is handed out, an object that
  accepts everything and answers nothing. No driver is called.
* redirected (only during `models` and `replay`): a connection to the address the doctor gave,
  whatever the project asked for. `configure()` then verifies that it is that one, or stops.

`run_migrations` does nothing in this process, in either state; only a replay lets the one context
run whose connection has been shown to lead to the doctor's throw-away shadow (replay.py).
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import errno
import gc
import inspect
import json
import logging.config
import os
import re
import socket
import sys
import threading
import time
import traceback
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Generator, Iterator

MOST_CONTEXTS = 200
WRITES = re.compile(
    r"\s*(create|alter|drop|insert|update|delete|truncate|grant|revoke|comment|merge|replace|vacuum"
    r"|reindex|refresh|lock|do|call|copy|set\b.*(read\s+write|read_only))\b|.*set_config\(.*read_only",
    re.IGNORECASE | re.DOTALL,
)
OWN_TABLES = ("_alembic_tmp_", "_migdoctor_q_")
DRIVERS = ("psycopg2", "psycopg", "sqlite3", "asyncpg", "aiosqlite", "pymysql", "MySQLdb", "pg8000")
FIELDS = {
    "host": "host", "hostname": "host", "port": "port", "user": "username", "username": "username",
    "password": "password", "passwd": "password", "database": "database", "dbname": "database",
    "db": "database",
}  # fmt: skip


class Stop(BaseException):
    """Leaves env.py when the answer is known; no Exception, so env.py will hardly swallow it."""


class Failure(Exception):
    """A failure with a kind: environment, no-models, no-context, stale, not-ours."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class State:
    """What this process is doing now: where connections lead and what `configure()` is for."""

    target: Any = None  # (url, connect_args, read_only) while redirected
    hook: Any = None  # called with the EnvironmentContext after each configure()
    in_creator: Any = None  # the dialect whose creator= runs now
    handed_out = False  # a Null was handed out
    run: Any = None  # what run_migrations() does during a replay
    opening = False  # a driver is called for the agent now
    on_opening: Any = None  # called before that
    pragmas: tuple[str, ...] = ()  # what a SQLite shadow is set to
    isolated: Any = None  # the thread without a network

    kept: Any = None  # what has to last as long as the process
    say: Any = staticmethod(lambda _value: None)  # tells the doctor something before the answer

    pools: ClassVar[Any] = weakref.WeakSet()
    beside: ClassVar[Any] = {}  # the other files, by name


# --- connections that lead nowhere ----------------------------------------------------------------


class Null:
    """A DBAPI connection or cursor that accepts everything and answers nothing."""

    rowcount = -1
    lastrowid = None
    arraysize = 1
    closed = False
    autocommit = False
    search_path = None

    def __init__(self, dialect: Any = None, connection: Any = None) -> None:
        self.description: Any = None
        self.notices: list[Any] = []
        self._dialect = dialect
        self.connection = connection or self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **_kw: Any) -> Null:
        for value in args:
            if inspect.iscoroutine(value):
                value.close()  # a driver's own coroutine; left alone it would warn
        return self

    def cursor(self, *_args: Any, **_kw: Any) -> Null:
        return Null(self._dialect, self.connection)

    def execute(self, statement: str, *_args: Any, **_kw: Any) -> Null:
        text = str(statement).lstrip().lower()
        reads = re.match(r"\(|select|show|with|pragma|values|explain|table|describe", text)
        self.description = [("x", None, None, None, None, None, None)] if reads else None
        if re.match(r"set\s+(local\s+|session\s+)?search_path", text):
            self.connection.search_path = str(statement).strip()
        if getattr(self._dialect, "is_async", False):
            _switch_once()
        return self

    executemany = execute

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[Any]:
        return []

    def fetchmany(self, _size: Any = None) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __enter__(self) -> Null:
        return self

    def __exit__(self, *_error: Any) -> None:
        return None

    def __await__(self) -> Generator[Any, Any, Null]:
        yield from ()
        return self


def _switch_once() -> None:
    """SQLAlchemy refuses an async call in which nothing was awaited (AwaitRequired)."""
    from sqlalchemy.util import await_only

    waiting = asyncio.sleep(0)
    try:
        await_only(waiting)
    except Exception:
        waiting.close()


def guard() -> None:
    """Wrap the one place where pools connect, and the two where migrations start."""
    beside("traced").start()
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
        record.info["migdoctor"] = (State.target[0], _raw(record))

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

    doors = _doors(dialect)
    closed = []
    dialect.connect = through_dialect
    State.in_creator = dialect
    try:
        for owner, name in doors:
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


def _doors(dialect: Any) -> list[tuple[Any, str]]:
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


# --- running env.py -------------------------------------------------------------------------------


def load(project: dict[str, Any]) -> Any:
    """The project's Config and ScriptDirectory; loads no revision yet."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    options = argparse.Namespace(
        config=[project["ini"]] if project["ini"] else None, name=project["section"],
        x=project["x"] or None, raiseerr=True, quiet=True, verbose=False,
        cmd=(command.current, [], ["verbose"]),
    )  # fmt: skip
    more = {"toml_file": project["toml"]} if project["toml"] else {}
    config = Config(project["ini"], ini_section=project["section"], cmd_opts=options, **more)
    location = config.get_main_option("script_location") if project["ini"] else None
    if not location and not project["toml"]:
        config.set_main_option("script_location", project["script_location"].replace("%", "%%"))
    if project["url"]:
        config.set_main_option("sqlalchemy.url", project["url"].replace("%", "%%"))
    if not project["ini"]:
        # env.py of many projects calls fileConfig(config.config_file_name), whatever that is
        logging.config.fileConfig = lambda *_args, **_kw: None
    sys.argv = ["alembic", "current"]
    script: Any = ScriptDirectory.from_config(config)
    if project.get("locations"):
        script.version_locations = project["locations"]  # copies that stand in for the project's
    return config, script


def run_env(project: dict[str, Any], hook: Any, as_sql: bool = False) -> Any:
    """Run env.py; `hook` is called after each configure() and may raise Stop."""
    from alembic.runtime.environment import EnvironmentContext

    config, script = load(project)
    State.hook = hook
    environment = EnvironmentContext(
        config, script, fn=lambda _rev, _context: [], as_sql=as_sql, destination_rev="head",
        template_args={"config": config},
    )  # fmt: skip
    try:
        with environment, app_context(project):
            script.run_env()
    except Stop:
        pass
    finally:
        State.hook = None
    return environment


@contextmanager
def app_context(project: dict[str, Any]) -> Iterator[Any]:
    """Inside Flask's application context where env.py needs one (Flask-Migrate; incident 81)."""
    try:
        text = Path(project["env_py"]).read_text(encoding="utf-8", errors="replace")
        wanted = "current_app" in text
    except (OSError, TypeError):
        wanted = False
    if not wanted or not _installed("flask"):
        yield
        return
    from flask.cli import ScriptInfo, load_dotenv

    load_dotenv()
    path = os.environ.get("FLASK_APP")
    try:
        app = ScriptInfo(path).load_app() if path else ScriptInfo().load_app()
    except BaseException as error:
        text = "the Flask application could not be loaded (FLASK_APP=%s): %s" % (path, error)
        raise Failure("environment", text) from error
    with app.app_context():
        yield


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


# --- capture --------------------------------------------------------------------------------------


def capture(question: dict[str, Any]) -> dict[str, Any]:
    """The options of every configure() call.

    env.py is not stopped at its first configure(): tenants and multi-database templates call it
    once each, and what lies between (begin_transaction, run_migrations) does nothing here. The
    run ends with env.py, with the 200th context, or with an error, which no longer matters once
    something was captured.
    """
    project = question["project"]
    with no_network() as isolated:
        contexts, error = _capture(project)
    if isolated and error is not None and not contexts and _needs_network(error):
        contexts, error = _capture(project)  # settings from the network; databases stay closed
    if not contexts and error is not None and State.handed_out:
        contexts, _ = _capture(project, as_sql=True)
    if not contexts and error is not None:
        raise error
    if not contexts:
        raise Failure("no-context", "env.py ended without calling context.configure()")
    return {"contexts": contexts, "note": _one_line(error) if error is not None else ""}


def _capture(
    project: dict[str, Any], as_sql: bool = False
) -> tuple[list[Any], BaseException | None]:
    contexts = []
    State.handed_out = False

    def hook(environment: Any, given: Any) -> None:
        contexts.append(options_of(environment, given, as_sql))
        if len(contexts) >= MOST_CONTEXTS:
            raise Stop

    try:
        run_env(project, hook, as_sql)
    except BaseException as error:
        return contexts, error
    return contexts, None


def _needs_network(error: BaseException) -> bool:
    """The failure is the missing network, and not that of a database driver called directly."""
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
    for link in _chain(error):
        frames = traceback.extract_tb(link.__traceback__)
        if any("/%s/" % driver in frame.filename for frame in frames for driver in DRIVERS):
            return False
    return any(
        isinstance(link, socket.gaierror) or getattr(link, "errno", None) in unreachable
        for link in _chain(error)
    )


def _chain(error: BaseException) -> list[BaseException]:
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        link = link.__cause__ or link.__context__
    return seen


def options_of(environment: Any, given: Any, offline: bool) -> dict[str, Any]:
    """What one configure() call said, as plain values."""
    context = environment.get_context()
    opts = context.opts
    connection = None if offline else context.connection
    url, connect_args, dropped = address(connection, given.get("url"))
    tables = [
        table for one in metadatas(opts.get("target_metadata")) for table in one.tables.values()
    ]
    null = _dbapi_connection(connection)
    return {
        "url": url,
        "connect_args": connect_args,
        "dropped_connect_args": dropped,
        "dialect": context.dialect.name,
        "version_table": opts.get("version_table") or "alembic_version",
        "version_table_schema": opts.get("version_table_schema"),
        "has_metadata": bool(metadatas(opts.get("target_metadata"))),
        "tables": len(tables),
        "schemas": sorted({table.schema for table in tables if table.schema}),
        "naming_convention": any(
            len(one.naming_convention or {}) > 1 for one in metadatas(opts.get("target_metadata"))
        ),
        "include_schemas": bool(opts.get("include_schemas")),
        "render_as_batch": bool(opts.get("render_as_batch")),
        "compare_type": bool(opts.get("compare_type", True)),
        "compare_server_default": bool(opts.get("compare_server_default", False)),
        "transaction_per_migration": bool(opts.get("transaction_per_migration")),
        "transactional_ddl": opts.get("transactional_ddl"),
        "search_path": null.search_path if isinstance(null, Null) else None,
        "locations": [str(Path(p).absolute()) for p in environment.script._version_locations],
        "offline": offline,
    }


def metadatas(target: Any) -> list[Any]:
    """A MetaData, a list of them, classes that hold one, or None, as a list."""
    if target is None:
        return []
    entries = target if isinstance(target, (list, tuple, set)) else [target]
    found = [e if _is_metadata(e) else getattr(e, "metadata", None) for e in entries]
    return [entry for entry in found if _is_metadata(entry)]


def _is_metadata(entry: Any) -> bool:
    # not by its sorted_tables: that is a property, and sorts them each time it is looked at
    return hasattr(entry, "tables") and hasattr(entry, "naming_convention")


def _dbapi_connection(connection: Any) -> Any:
    fairy = getattr(connection, "connection", None)
    if fairy is None:
        return None
    return _raw(fairy)


def _raw(holder: Any) -> Any:
    """The driver's connection of a pool record or of what the pool lends out."""
    if hasattr(type(holder), "dbapi_connection") or hasattr(holder, "dbapi_connection"):
        return holder.dbapi_connection
    return holder.connection  # SQLAlchemy 1.3


def address(connection: Any, given: Any) -> tuple[str | None, dict[str, Any], list[str]]:
    """(URL with its password, connect_args, names of arguments that are no plain values)."""
    from sqlalchemy.engine.url import make_url

    if connection is None:
        return (_text_of(make_url(given)) if given else None), {}, []
    url, dialect = connection.engine.url, connection.dialect
    args, keywords, direct = getattr(dialect, "_migdoctor_arguments", ((), {}, False))
    if direct:
        wanted, extra = _from_driver(dialect, args, keywords)
        if not wanted:
            return None, {}, sorted(keywords)
        url = _url(url.drivername, wanted, {})
    else:
        base_args, base = dialect.create_connect_args(url)
        extra = {k: v for k, v in keywords.items() if k not in base or base[k] != v}
        wanted = {FIELDS[k]: extra.pop(k) for k in list(extra) if k in FIELDS}
        if args and list(args) != list(base_args) and isinstance(args[0], str):
            wanted["database"] = args[0]
        if any(isinstance(value, (str, int)) for value in wanted.values()):
            parts = {n: getattr(url, n) for n in set(FIELDS.values())}
            parts.update({k: v for k, v in wanted.items() if isinstance(v, (str, int))})
            url = _url(url.drivername, parts, url.query)
    plain = {name: value for name, value in extra.items() if _plain(value)}
    return _text_of(url), plain, sorted(set(extra) - set(plain))


def _from_driver(dialect: Any, args: Any, keywords: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(URL fields, other arguments) of a call that a creator= made to its driver."""
    from sqlalchemy.engine.url import make_url

    rest = dict(keywords)
    wanted = {FIELDS[k]: rest.pop(k) for k in list(rest) if k in FIELDS}
    dsn = next((str(a) for a in args if isinstance(a, (str, os.PathLike))), rest.pop("dsn", None))
    dsn = dsn or rest.pop("conninfo", None)
    if dialect.name == "sqlite":
        if dsn:
            wanted["database"] = re.sub(r"^file:([^?]*).*", r"\1", dsn)
    elif dsn and "://" in dsn:
        url = make_url(dsn)
        wanted.update({n: getattr(url, n) for n in set(FIELDS.values()) if getattr(url, n)})
        rest.update(url.query)
    elif dsn:
        for name, value in re.findall(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", dsn):
            value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == "'" else value
            (wanted if name in FIELDS else rest)[FIELDS.get(name, name)] = value
    return wanted, rest


def _url(drivername: Any, parts: Any, query: Any) -> Any:
    from sqlalchemy.engine.url import URL

    make: Any = getattr(URL, "create", URL)
    parts = {k: v for k, v in parts.items() if v not in (None, "")}
    if "port" in parts:
        parts["port"] = int(parts["port"])
    if str(parts.get("host", "")).startswith("/"):
        query = dict(query, host=parts.pop("host"))
    return make(drivername, query=dict(query), **parts)


def _text_of(url: Any) -> str:
    shown = getattr(url, "render_as_string", None)  # SQLAlchemy 1.3 has none, str() shows all
    return str(shown(hide_password=False) if shown else url)


def _plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


# --- connections to where the doctor says ---------------------------------------------------------


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
    if isinstance(_dbapi_connection(connection), Null):
        raise Failure("stale", "a connection from an earlier question is still in use")
    url_made_for, made = connection.info.get("migdoctor") or (None, None)
    if url_made_for != question["url"] or _dbapi_connection(connection) is not made:
        raise Failure("not-ours", "env.py uses a connection that was not made here")
    url = make_url(question["url"])
    if connection.dialect.name == "sqlite":
        files = [row[2] for row in _query(connection, "PRAGMA database_list") if row[1] == "main"]
        if [os.path.realpath(f) for f in files] != [os.path.realpath(url.database or "")]:
            raise Failure("not-ours", "the connection leads to another file")
        return
    name, read_only, now = _query(
        connection,
        "SELECT current_database(), current_setting('default_transaction_read_only'), "
        "current_setting('transaction_read_only')",
    )[0]
    if name != (url.database or url.username):
        raise Failure("not-ours", "the connection leads to another database")
    if question["read_only"] and (read_only, now) != ("on", "on"):
        raise Failure("not-ours", "the connection is not read-only")


def _query(connection: Any, sql: str) -> list[Any]:
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


# --- the other files ------------------------------------------------------------------------------


def beside(name: str) -> Any:
    """The module of another file of this folder, loaded by its path; it gets our namespace."""
    if name not in State.beside:
        import importlib.util

        path = Path(__file__).with_name(name + ".py")
        spec: Any = importlib.util.spec_from_file_location("migdoctor_" + name, str(path))
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.agent = SimpleNamespace(**globals())
        State.beside[name] = module
    return State.beside[name]


def models(question: dict[str, Any]) -> dict[str, Any]:
    """Compare the models with the database at an address, or say its indexes; see compare.py."""
    found: list[dict[str, Any]] = []
    wanted = question["context"]
    passed = []

    def hook(environment: Any, _given: Any) -> None:
        passed.append(environment)
        if len(passed) - 1 == wanted:
            found.append(beside("compare").compare(environment, question))
            raise Stop

    with redirection(question), beside("traced").listening():
        run_env(question["project"], hook)
    if not found:
        raise Failure("no-context", "env.py called context.configure() %d times" % len(passed))
    return found[0]


def merge(question: dict[str, Any]) -> dict[str, Any]:
    """A merge revision, not written; see compare.py."""
    answer: dict[str, Any] = beside("compare").merge(question)
    return answer


def replay(question: dict[str, Any]) -> dict[str, Any]:
    """Run the whole history on the shadow and record it; see replay.py."""
    gc.enable()
    answer: dict[str, Any] = beside("replay").replay(question)
    return answer


def surroundings(_question: dict[str, Any]) -> dict[str, Any]:
    """Where this interpreter finds modules, and which packages in which versions."""
    import sqlite3

    found = set()
    for entry in sys.path:
        with suppress(OSError):
            names = os.listdir(entry or ".")  # noqa: PTH208  a name is all that is wanted
            found |= {n for n in names if n.endswith((".dist-info", ".egg-info", ".egg-link"))}
    return {
        "python": sys.version,
        "sqlite": sqlite3.sqlite_version,
        "path": [str(Path(entry or ".").absolute()) for entry in sys.path],
        "packages": sorted(found),
    }


# --- questions and answers ------------------------------------------------------------------------


def described(error: BaseException, env_py: Any = None) -> dict[str, Any]:
    """A failure as plain values; `line` is the last line of env.py that led there."""
    links = _chain(error)
    line = None
    for link in links:
        frames = traceback.extract_tb(link.__traceback__)
        line = line or next((f.lineno for f in reversed(frames) if f.filename == env_py), None)
    kind = next((link.kind for link in links if isinstance(link, Failure)), "env.py")
    incomplete = any(
        isinstance(link, ImportError) or "greenlet library is required" in str(link)
        for link in links
    )
    return {
        "kind": "environment" if incomplete and kind == "env.py" else kind,
        "error": type(error).__name__,
        "message": str(error)[:2000],
        "line": line,
        "trace": "".join(traceback.format_exception(type(error), error, error.__traceback__))[
            -4000:
        ],
    }


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return ("%s: %s" % (type(error).__name__, lines[0])).rstrip(": ")[:400]


def reply(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"ok": QUESTIONS[question["do"]](question)}
    except BaseException as error:
        return {"failed": described(error, question["project"]["env_py"])}
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


QUESTIONS = {
    "capture": capture, "models": models, "indexes": models, "merge": merge, "replay": replay,
    "surroundings": surroundings,
}  # fmt: skip


def serve(questions_fd: Any, answers_fd: Any) -> None:
    """Answer until the pipe closes; then leave without the project's exit handlers."""
    questions = os.fdopen(questions_fd, encoding="utf-8")
    answers = os.fdopen(answers_fd, "w", encoding="utf-8")
    State.say = lambda value: print(json.dumps(value), file=answers, flush=True)
    try:
        guard()
        print(json.dumps({"ok": {"python": sys.version}}), file=answers, flush=True)
    except BaseException as error:
        failed = dict(described(error), kind="environment")
        print(json.dumps({"failed": failed}), file=answers, flush=True)
        os._exit(1)
    for line in questions:
        print(json.dumps(reply(json.loads(line))), file=answers, flush=True)
    os._exit(0)


def inject(question_file: Any, answer_file: Any) -> None:
    """Inside another program (`--via`): answer at its first configure(), then end the process."""
    question = json.loads(Path(question_file).read_text(encoding="utf-8"))
    guard()
    if question["do"] == "replay":
        beside("replay").inject(question, answer_file)
        return
    if question["do"] in ("models", "indexes"):
        State.target = (question["url"], question["connect_args"], question["read_only"])
        State.kept = beside("traced").listening()
        State.kept.__enter__()

    def hook(environment: Any, given: Any) -> None:
        try:
            if State.target:
                answer = {"ok": beside("compare").compare(environment, question)}
            else:
                answer = {"ok": {"contexts": [options_of(environment, given, False)], "note": ""}}
        except BaseException as error:
            answer = {"failed": described(error)}
        leave_with(answer, answer_file)

    State.hook = hook


def leave_with(answer: Any, answer_file: Any) -> None:
    """Write the answer; nothing of the program runs after this, no migration, no exit handler."""
    part = Path(answer_file + ".part")
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.replace(answer_file)
    os._exit(0)


def main() -> None:
    here = Path(__file__).absolute().parent  # its modules must not hide the project's
    sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != here]
    sys.path.append(str(Path.cwd()))  # as `python -m alembic` finds modules, but after all others
    gc.disable()  # models and reflected tables are many objects, and all of them stay
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: do not outlive the doctor
    serve(int(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
