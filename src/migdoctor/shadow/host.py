"""Which server throw-away databases are made on, and how they come and go there.

It is the private server of this process, or the one that --shadow-url names. That one belongs to
somebody: nothing is made on it but databases of our own, never a role, and no statement of the
project is run there that reaches beyond them (`BEYOND`). A database proves that it is ours by its
name and by a connection limit that follows from the name; both are set by the very statement that
makes it, so that there is no moment without the proof. While it is in use its maker holds an
advisory lock; what a killed maker left is removed by a later run: ours, and held by nobody.
"""

import contextlib
import hashlib
import re
import secrets
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from migdoctor.address import parse_url
from migdoctor.connect import (
    Address,
    Session,
    StatementFailed,
    address_of,
    open_reading,
    open_writing,
)
from migdoctor.errors import CannotConnect, DoctorError, NotObserved, UsageError
from migdoctor.model import literal, quoted
from migdoctor.shadow import binaries, server

OLDEST = 13  # DROP DATABASE ... WITH (FORCE) and trusted extensions are new in it
# What is not undone by dropping the database it runs in: roles, other databases, the server itself.
BEYOND = (
    r"(create|alter|drop)\s+(role|user(?!\s+mapping)|group|database|tablespace|subscription)\b"
    r"|alter\s+system\b|(drop|reassign)\s+owned\b"
    r"|(comment|security\s+label(\s+for\s+\S+)?)\s+on\s+(role|database|tablespace|subscription)\b"
    r"|(grant|revoke)\b[^;]*\bon\s+(database|tablespace|parameter)\b"
    r"|(grant|revoke)\b(?![^;]*\bon\b)[^;]*\b(to|from)\b"  # membership of roles
)
_NAME = "^migdoctor_(replay|copy)_[0-9a-f]{16}$"
_COMMENT = "throw-away database of migdoctor; a later run removes it when nobody uses it"
_INVALID = -2  # the connection limit of a database whose DROP was interrupted (pg_database.h)
_ABOUT = """
SELECT r.rolsuper OR r.rolcreatedb, pg_catalog.current_setting('transaction_read_only') = 'on',
       r.rolname::text, r.rolsuper,
       ARRAY(SELECT x.name || ' ' || x.version FROM pg_catalog.pg_available_extension_versions x
             JOIN pg_catalog.pg_available_extensions a ON a.name = x.name
              AND a.default_version = x.version
             WHERE r.rolsuper OR x.trusted OR NOT x.superuser ORDER BY 1),
       ARRAY(SELECT o.rolname::text FROM pg_catalog.pg_roles o WHERE o.rolname !~ '^pg_'
             ORDER BY 1)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"""
_LEFT = f"""
SELECT d.datname::text, d.datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
WHERE d.datname ~ '{_NAME}' AND r.rolname = current_user ORDER BY 1"""
_HELD = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory'
               AND l.classid = 0 AND l.objid = {sign} AND l.objsubid = 1)
    OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datname = {name})"""
# The maker's session is idle while its database is in use.
_PATIENT = """
SELECT pg_catalog.set_config(s.name, '0', false) FROM pg_catalog.pg_settings s
WHERE s.name IN ('statement_timeout', 'idle_session_timeout')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A server on which databases are made; `address` leads to the one from where they are.

    `version` is its major version. `private`: it is this process's own and may be changed at will.
    `traces` tell it from other servers, as far as a history may come out differently there.
    """

    address: Address
    version: int
    private: bool
    traces: tuple[str, ...] = ()

    @contextlib.contextmanager
    def database(self, kind: str) -> Iterator[Address]:
        """An empty database of our own ("replay" or "copy"), dropped at the end whatever happens.

        Raises NotObserved("shadow", why) where it cannot be made, or not be dropped.
        """
        name = f"migdoctor_{kind}_{secrets.token_hex(8)}"
        ending = contextlib.nullcontext() if self.private else _ending_orderly()
        with ending, self._maker() as maker:
            try:
                _make(maker, name)
                yield replace(self.address, url=_url_of(self.address, name))
            finally:
                self._drop(maker, name)

    def programs(self, live: int) -> binaries.Binaries:
        """A pg_dump that reads a server of major version `live`, with the psql beside it.

        Raises NotObserved("shadow", why) where there is none.
        """
        if self.private:
            if self.version < live:
                raise NotObserved("shadow", f"pg_dump {self.version} cannot read a server {live}")
            return server.running().programs
        if there := binaries.clients(live, self.version):
            return there
        raise NotObserved(
            "shadow",
            f"with --shadow-url a pg_dump {live} or newer and its psql must be on this machine;"
            " install PostgreSQL's client programs or migdoctor[shadow]",
        )

    def _maker(self) -> Session:
        try:
            return open_writing(self.address)
        except CannotConnect as error:
            raise NotObserved("shadow", error.message) from None

    def _drop(self, maker: Session, name: str) -> None:
        sql = f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)"
        try:
            try:
                maker.run(sql)
            except DoctorError:  # the connection may have ended meanwhile
                with open_writing(self.address) as another:
                    another.run(sql)
        except DoctorError as error:
            why = f"{name} could not be dropped, which the next run does: {error.message}"
            raise NotObserved("shadow", why) from None


_opened: dict[str, Host] = {}


def of(shadow: Address | None) -> Host:
    """The server that `shadow` (--shadow-url) names, else the private one of this process.

    Raises NotObserved("shadow", why) where no private one can be had, UsageError where the named
    one does not serve. What a killed run left on it is removed when it is first asked for.
    """
    if shadow is None:
        own = server.running()
        return Host(address=address_of(own.admin_url), version=own.version, private=True)
    if shadow.url not in _opened:
        _opened[shadow.url] = _open(shadow)
    return _opened[shadow.url]


def traces(shadow: Address | None) -> list[str]:
    """What tells one shadow from another; the private server is not started for it."""
    return binaries.traces() if shadow is None else list(of(shadow).traces)


def demand(shadow: Address, live: Address | None) -> None:
    """Raises UsageError where the server of --shadow-url cannot stand in for that of `live`."""
    if live is None or live.path:
        return  # SQLite needs no server
    host = of(shadow)
    with contextlib.suppress(CannotConnect), open_reading(live) as session:
        version = session.server_version // 10000
        if host.version < version:
            raise UsageError(
                f"The server of --shadow-url is of version {host.version}, older than the database"
                f" that is looked at ({version}).",
                f"Name a server of version {version} or newer, or leave the option out.",
            )


def _open(shadow: Address) -> Host:
    try:
        session = open_writing(shadow)
    except CannotConnect as error:
        text = f"The server of --shadow-url does not serve: {error.message}"
        raise UsageError(text, error.help) from None
    with session:
        if session.note:
            raise UsageError(
                f"The address of --shadow-url does not serve: {session.note}.",
                "Name the server itself.",
            )
        ((makes, read_only, role, mighty, extensions, roles),) = session.query(_ABOUT)
        version = session.server_version // 10000
        if version < OLDEST:
            raise UsageError(
                f"The server of --shadow-url is of version {version}.",
                f"Name a server of version {OLDEST} or newer.",
            )
        if read_only:
            raise UsageError(
                f"The server of --shadow-url, {shadow.masked}, is read-only.",
                "Name a server that can be written to, not a standby.",
            )
        if not makes:
            raise UsageError(
                f"The role {role} may not create databases on the server of --shadow-url.",
                f"Run ALTER ROLE {quoted(role)} CREATEDB there, or name another role.",
            )
        _sweep(session)
        return Host(
            address=_pinned(session, shadow),
            version=version,
            private=False,
            traces=(
                f"--shadow-url {session.server_version} {'superuser' if mighty else ''}",
                *extensions,
                *roles,
            ),
        )


def _pinned(session: Session, shadow: Address) -> Address:
    """The same address with what libpq found out: of several hosts the one that answered."""
    from sqlalchemy import URL

    given, info = parse_url(shadow.url), session.raw.info
    query = {k: v for k, v in given.query.items() if k not in ("host", "port", "dbname", "user")}
    local = info.host.startswith("/")
    url = URL.create(
        given.drivername,
        username=info.user,
        password=given.password or info.password or None,
        host=None if local else info.host,
        port=None if local else info.port,
        database=info.dbname,
        query=query | ({"host": info.host, "port": str(info.port)} if local else {}),
    )
    return replace(shadow, url=url.render_as_string(hide_password=False))


def _url_of(address: Address, name: str) -> str:
    return parse_url(address.url).set(database=name).render_as_string(hide_password=False)


def _make(maker: Session, name: str) -> None:
    """Make an empty database and hold it; the settings are those of the private server."""
    try:
        maker.query(_PATIENT)
        maker.query(f"SELECT pg_catalog.pg_advisory_lock({_sign(name)})")
        maker.run(
            f"CREATE DATABASE {quoted(name)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C'"
            f" LC_CTYPE 'C' CONNECTION LIMIT {_sign(name)}"
        )
        maker.run(f"COMMENT ON DATABASE {quoted(name)} IS {literal(_COMMENT)}")
    except StatementFailed as error:
        raise NotObserved("shadow", f"no database could be made: {error.message}") from None


def _sign(name: str) -> int:
    """The number of a database of ours: its connection limit, and the key of its lock.

    It follows from the name, is too large to limit anything and fits into 31 bits.
    """
    digest = hashlib.sha256(f"migdoctor {name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**30 + 2**30


def _sweep(session: Session) -> None:
    """Remove what killed runs of the same role left. Nothing else, and nothing that is in use.

    The names are read before the locks: a maker locks first, so whatever is in the list and in use
    is locked by then. Without FORCE the server itself refuses where somebody is connected.
    """
    for name, limit, comment in session.query(_LEFT):
        ours = limit == _sign(name) and comment in (None, _COMMENT)
        if not ours and (limit, comment) != (_INVALID, _COMMENT):
            continue
        held = _HELD.format(sign=_sign(name), name=literal(name))
        if session.query(held) == [(False,)]:
            with contextlib.suppress(StatementFailed):
                session.run(f"DROP DATABASE IF EXISTS {quoted(name)}")


@contextlib.contextmanager
def _ending_orderly() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that what it made is removed.

    Signals that are ignored or handled by somebody else stay as they are.
    """

    def end(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    numbers: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        wanted = (signal.SIGTERM, signal.SIGHUP)
        numbers = [n for n in wanted if signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def reaches_beyond(sql: str) -> bool:
    """Whether a text has a statement that is about more than the database it is run in."""
    return re.search(rf"(?<![\w\"'])({BEYOND})", sql, re.IGNORECASE) is not None
