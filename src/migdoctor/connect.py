"""The one door to a database: connections that read, and connections that write.

Reading connections cannot write, wait for no lock longer than two seconds and create no file.
SQLAlchemy knows how to reach a PostgreSQL server, and is imported for that alone: a quick look at a
SQLite file costs less than its import.
"""

import contextlib
import itertools
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from migdoctor import sqlite_files
from migdoctor.address import Address, address_of, mask_url, parse_url, startup_options
from migdoctor.errors import CannotConnect, DoctorError, NotObserved

__all__ = [
    "Address",
    "Session",
    "StatementFailed",
    "address_of",
    "mask_url",
    "open_reading",
    "open_writing",
]

log = logging.getLogger("migdoctor.sql")
Params = tuple[object, ...] | dict[str, object]

_READ_OPTIONS = {
    "lock_timeout": "2000",
    "statement_timeout": "30000",
    "jit": "off",
    "client_min_messages": "error",
}
_WRITE_OPTIONS = {"lock_timeout": "2000", "client_min_messages": "error"}
_BUSY_SECONDS = 2.0
# The first statement: what the role's own settings are, and only then ours in their place. With an
# empty path every deparsed name is qualified. As start-up options they could not be learnt.
# The server leaves schemas that the role may not use out of `path`; `meant` has them.
_GREETING = """
WITH own AS MATERIALIZED (
  SELECT pg_catalog.current_schemas(false)::pg_catalog.text[] AS path,
         ARRAY(SELECT n.nspname::pg_catalog.text
               FROM pg_catalog.unnest(pg_catalog.string_to_array(
                 pg_catalog.current_setting('search_path'), ',')) WITH ORDINALITY AS s(name, place)
               JOIN pg_catalog.pg_namespace n ON n.nspname = pg_catalog.replace(
                 pg_catalog.btrim(s.name, ' "'), '$user', current_user)
               ORDER BY s.place) AS meant,
         pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
         pg_catalog.current_setting('default_transaction_read_only') = 'on' AS read_only)
SELECT path, meant, version, read_only{settings} FROM own"""
_OURS = {"search_path": "", "default_transaction_read_only": "on"}


class StatementFailed(DoctorError):
    """A statement of a writing session failed; `sqlstate` is SQLite's error name there."""

    exit_code = 5

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


# --- sessions -----------------------------------------------------------------------------------


class Session:
    """One open connection of the driver, in autocommit; `open_reading` and `open_writing` make it.

    `statements` lists every statement sent, in order. `note` says what was unusual about opening
    it ("" where nothing was). `search_path` holds the schemas of the role's own path that exist and
    that it may use, `shut_path` those before them that it may not; `server_version` is for example
    180004, `own_read_only` says that the role's own sessions are read-only by default (all of
    these PostgreSQL only).
    """

    def __init__(
        self,
        address: Address,
        raw: Any,
        error: type[Exception],
        close: Callable[[], None],
        *,
        writing: bool,
    ) -> None:
        self.address, self.dialect, self.writing = address, address.dialect, writing
        self.statements: list[str] = []
        self.note = ""
        self.in_transaction = False
        self.search_path: tuple[str, ...] = ()
        self.shut_path: tuple[str, ...] = ()
        self.server_version = 0
        self.own_read_only = False
        self._raw: Any | None = raw
        self._error = error  # the driver's own
        self._around: tuple[str, str] | None = None  # behind a pooler: before, after each query
        self._on_close: list[Callable[[], None]] = [close]

    def query(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """All rows of one statement. Raises NotObserved (reading) or StatementFailed (writing)."""
        with self._pooled():
            return self._send(sql, params)[0]

    def run(self, sql: str, params: Params | None = None) -> int:
        """Run one statement of a writing session; the number of rows it changed."""
        if not self.writing:
            raise TypeError("a reading session does not run statements")
        return self._send(sql, params)[1]

    def begin(self) -> None:
        """Start a transaction unless one is open; on SQLite it takes the write lock at once."""
        if not self.in_transaction:
            self.run("BEGIN IMMEDIATE" if self.dialect == "sqlite" else "BEGIN")
            self.in_transaction = True

    def commit(self) -> None:
        """Commit the open transaction, if any."""
        if self.in_transaction:
            self.run("COMMIT")
            self.in_transaction = False

    def rollback(self) -> None:
        """Roll the open transaction back, if any."""
        if self.in_transaction:
            self.in_transaction = False
            self.run("ROLLBACK")

    @property
    def raw(self) -> Any:
        """The driver's own connection (for the backup API of sqlite3)."""
        assert self._raw is not None, "the session is closed"
        return self._raw

    def close(self) -> None:
        """Close the connection and remove private files; may be called twice."""
        self._raw = None
        while self._on_close:
            self._on_close.pop(0)()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _pooled(self) -> Iterator[None]:
        if self._around is None:
            yield
            return
        self._send(self._around[0], None, listed=False)
        try:
            yield
        finally:
            self._send(self._around[1], None, listed=False)

    def _send(
        self, sql: str, params: Params | None, *, listed: bool = True
    ) -> tuple[list[tuple[Any, ...]], int]:
        """All rows of a statement, and how many it found or changed; -1 where nobody counts."""
        raw = self.raw
        if listed:
            self.statements.append(sql)
            log.info("%s", " ".join(sql.split()))
        try:
            cursor = raw.cursor()
            # Without parameters the driver must not look for placeholders: '%' stays as it is.
            cursor.execute(sql, params) if params else cursor.execute(sql)
            # SQLite reads as the rows are asked for, and may fail only then.
            return cursor.fetchall() if cursor.description else [], int(cursor.rowcount)
        except self._error as error:
            state, text = describe(error)
            text = self.address.mask(text)
            if self.writing:
                raise StatementFailed(f"{text} ({state})", state) from None
            raise NotObserved("query", f"{text} ({state})") from None


def describe(error: object) -> tuple[str, str]:
    """(SQLSTATE or SQLite's error name, first line of the message) of a driver's exception."""
    state = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    lines = str(error).strip().splitlines()
    return state or type(error).__name__, lines[0] if lines else ""


def open_reading(address: Address) -> Session:
    """A session that cannot write. Raises CannotConnect when the database does not open."""
    if address.path:
        return _open_sqlite(address, writing=False)
    return _open_postgresql(address, writing=False)


def open_writing(address: Address) -> Session:
    """A session that can write. Raises CannotConnect when the database does not open."""
    if address.path:
        return _open_sqlite(address, writing=True)
    return _open_postgresql(address, writing=True)


# --- PostgreSQL ---------------------------------------------------------------------------------


def _open_postgresql(address: Address, *, writing: bool) -> Session:
    settings = _WRITE_OPTIONS if writing else _READ_OPTIONS
    own = f"{_given(address, 'options')} {startup_options(settings)}".strip()
    try:
        return _greet(_postgresql_session(address, own, writing))
    except CannotConnect as error:
        # A pooler refuses start-up options; then the settings travel with every transaction, as
        # a plain SET would stay behind on a server connection that others use next.
        if "startup parameter" not in error.message:
            raise
    session = _postgresql_session(address, None, writing)
    session.note = "a connection pooler stands before the server"
    if writing:
        session.run("; ".join(f"SET {k} = '{v}'" for k, v in settings.items()))
    else:
        local = "; ".join(f"SET LOCAL {k} = '{v}'" for k, v in settings.items())
        session._around = (f"BEGIN READ ONLY; {local}", "ROLLBACK")
    return _greet(session)


def _postgresql_session(address: Address, options: str | None, writing: bool) -> Session:
    import psycopg
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    arguments: dict[str, Any] = {"connect_timeout": 10} | dict(address.connect_args)
    arguments |= {"application_name": "migdoctor", "prepare_threshold": None}
    url = parse_url(address.url)
    query = {k: v for k, v in url.query.items() if k not in ("options", "application_name")}
    arguments.pop("options", None)
    if options or _given(address, "options"):
        arguments["options"] = options or _given(address, "options")
    if "connect_timeout" in query:
        arguments["connect_timeout"] = query.pop("connect_timeout")
    engine = create_engine(
        url.set(query=query),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        use_native_hstore=False,
        connect_args=arguments,
    )
    try:
        opened = engine.connect()
    except DBAPIError as error:
        raise _refused(address, error.orig) from None
    except (UnicodeError, ValueError) as error:
        raise _refused(address, error) from None
    raw = opened.connection.driver_connection
    return Session(address, raw, psycopg.Error, opened.close, writing=writing)


def _given(address: Address, name: str) -> str:
    """A setting of the address, "" where it has none; a query key may be repeated."""
    value = address.connect_args.get(name) or parse_url(address.url).query.get(name) or ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _greet(session: Session) -> Session:
    """Learn path, version and default; on reading sessions put our settings in their place."""
    own = {} if session.writing or session._around else _OURS
    set_ours = [f", pg_catalog.set_config('{k}', '{v}', false)" for k, v in own.items()]
    try:
        greeting = _GREETING.format(settings="".join(set_ours))
        ((path, meant, version, read_only, *_),) = session.query(greeting)
    except DoctorError as error:
        session.close()
        raise CannotConnect(
            f"The server of {session.address.masked} does not answer: {error.message}.",
            "Look at the server's log.",
        ) from None
    session.search_path, session.server_version = tuple(path), version
    session.shut_path = tuple(itertools.takewhile(lambda schema: schema not in path, meant))
    session.own_read_only = read_only
    if session._around:
        before, after = session._around
        session._around = (f"{before}; SET LOCAL search_path = ''", after)
    return session


_REFUSALS = (  # SQLSTATE, words of libpq or the server, what to do
    ("28P01", "password authentication failed", "Check user and password of the URL."),
    ("", "no password supplied", "Put it into the URL, or into a password file (PGPASSFILE)."),
    ("", "no encryption|SSL off", "Ask for TLS (sslmode=require), or check user and pg_hba.conf."),
    ("", "certificate", "Check sslmode, sslrootcert and the host name of the URL."),
    ("", "service", "Check the service file (PGSERVICEFILE)."),
    ("28000", "pg_hba.conf|authentication", "Check user and pg_hba.conf."),
    ("3D000", 'database ".*" does not exist', "Check the name at the end of the URL."),
    ("53300", "too many|remaining connection slots", "Close idle sessions and try again."),
    ("57P03", "starting up|shutting down|recovery", "Wait until the server is up."),
    ("08001", "refused|No such file or directory", "Check host and port, and that it runs."),
    ("08004", "resolve|Name or service not known|translate host", "Check the host name."),
    ("08006", "timeout|timed out", "Check host, port and firewall."),
)


def _refused(address: Address, error: object) -> CannotConnect:
    """Two sentences for a connection that failed, with the server's own words, masked."""
    state, text = describe(error)
    text = address.mask(text.removeprefix("connection failed: ").rstrip("."))
    fitting = (a for code, words, a in _REFUSALS if state == code or re.search(words, text))
    advice = next(fitting, "Check the URL and the server.")
    return CannotConnect(f"{address.masked} cannot be opened: {text}.", advice)


# --- SQLite -------------------------------------------------------------------------------------


def _open_sqlite(address: Address, *, writing: bool) -> Session:
    path = address.path
    assert path is not None
    sqlite_files.demand(path)
    private = None if writing else sqlite_files.private_reason(path)
    if private is None:
        session = _sqlite_session(address, path, writing=writing)
        problem = _first_look(session)
        if writing or not sqlite_files.needs_recovery(problem):
            _judge(session, problem)
            return session
        session.close()
        private = "a writer was killed and left a journal that only a writer may roll back"
    copy, remove = sqlite_files.private_copy(path)
    try:
        session = _sqlite_session(address, copy, writing=False, recover=True)
        session._on_close.append(remove)
        _judge(session, _first_look(session))
    except BaseException:
        remove()
        raise
    session.note = f"read through a private copy: {private}"
    return session


def _sqlite_session(
    address: Address, path: Path, *, writing: bool, recover: bool = False
) -> Session:
    import math
    import sqlite3

    mode = "rw" if writing or recover else "ro"
    url = f"file:{quote(str(path))}?mode={mode}"
    try:
        made = sqlite3.connect(url, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise _unopened(address, describe(error)) from None
    # Text that is no UTF-8 must not hide the rows around it.
    made.text_factory = lambda raw: raw.decode("utf-8", "replace")
    # What SQLAlchemy gives every connection: the project's checks and indexes may call them.
    made.create_function("regexp", 2, _regexp, deterministic=True)
    made.create_function("floor", 1, math.floor, deterministic=True)
    session = Session(address, made, sqlite3.Error, made.close, writing=writing)
    session._on_close.append(sqlite_files.in_use(path))
    return session


def _regexp(pattern: str, text: str | None) -> bool | None:
    return None if text is None else re.search(pattern, text) is not None


def _first_look(session: Session) -> tuple[str, str] | None:
    """The problem that the first read meets, as (SQLite's error name, text)."""
    import sqlite3

    try:
        session.raw.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        return describe(error)
    return None


def _judge(session: Session, problem: tuple[str, str] | None) -> None:
    """Let a merely locked file pass with a note; anything else is no connection."""
    if problem is None:
        return
    if problem[0].startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        session.note = "another process holds the file locked"
        # Two seconds were waited once; not again for each of the statements to come.
        session.raw.execute("PRAGMA busy_timeout = 100")
        return
    session.close()
    raise _unopened(session.address, problem)


def _unopened(address: Address, problem: tuple[str, str]) -> CannotConnect:
    if problem[0] == "SQLITE_NOTADB":
        return CannotConnect(
            f"{address.path} is no SQLite database (or an encrypted one).",
            "Check the path; if it is right, restore the file from a backup.",
        )
    return CannotConnect(
        f"{address.path} cannot be opened: {problem[1]} ({problem[0]}).",
        "Check the rights of the file and of its folder.",
    )
