"""Copies of a live database, for rehearsals and for running the project's own code on.

SQLite: the whole file by the backup API. PostgreSQL: the schema by pg_dump, restored in the
shadow, and the rows of the version tables. A copy is private to this user and removed afterwards.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from migdoctor.connect import Address, Session, open_writing
from migdoctor.errors import DoctorError, NotObserved
from migdoctor.facts import VersionTable
from migdoctor.model import literal, quoted
from migdoctor.shadow import binaries, host
from migdoctor.shadow.binaries import Binaries
from migdoctor.shadow.host import Host

_PATIENCE = 10.0  # seconds that a writer may keep a SQLite backup waiting
_DUMP_TIMEOUT = 300
_DUMP = (
    "--schema-only --no-owner --no-privileges --no-tablespaces --no-publications"
    " --no-subscriptions --no-security-labels --lock-wait-timeout=2000"
)
_NEEDS = """
SELECT ARRAY(SELECT ARRAY[e.extname::text, n.nspname::text] FROM pg_catalog.pg_extension e
             JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1),
       ARRAY(SELECT DISTINCT r.rolname::text FROM pg_catalog.pg_policy p
             JOIN pg_catalog.pg_roles r ON r.oid = ANY(p.polroles)),
       EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public'),
       ARRAY(SELECT ARRAY[pg_catalog.quote_ident(n.nspname) || '.'
                          || pg_catalog.quote_ident(c.relname),
                          pg_catalog.pg_get_indexdef(i.indexrelid)]
             FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_'
             ORDER BY 1)"""
# Runs first, in psql's own connection: nothing is restored anywhere else.
_ONLY_HERE = """
DO $only$ BEGIN
  IF pg_catalog.current_database() <> {name} OR EXISTS (
    SELECT FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND oid >= 16384)
  THEN RAISE EXCEPTION 'this is not the empty database that was made for the copy'; END IF;
END $only$;
"""
# Those that the role may make.
_EXTENSIONS = """
SELECT a.name::text FROM pg_catalog.pg_available_extensions a
JOIN pg_catalog.pg_available_extension_versions x
  ON x.name = a.name AND x.version = a.default_version
WHERE x.trusted OR NOT x.superuser OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r
                                       WHERE r.rolname = current_user)"""
# Functions of extensions that the shadow may lack, in terms of what every server has.
_SHIMS = {
    "uuid-ossp": ("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"),
    "pgcrypto": ("gen_random_uuid",),
}


@contextlib.contextmanager
def copy_of(
    session: Session, versions: tuple[VersionTable, ...], shadow: Address | None = None
) -> Iterator[tuple[Address, str]]:
    """The address of a copy, and how it was made: "file-copy" or "schema-copy".

    `shadow` is the server of --shadow-url, None: the private one (PostgreSQL only). Raises
    NotObserved("copy", why) when none can be made: no server programs, a locked table, an
    extension or a role that the shadow lacks, no right to read the schema.
    """
    if session.dialect == "sqlite":
        with _file_copy(session) as address:
            yield address, "file-copy"
        return
    with _schema_copy(session, versions, shadow) as address:
        yield address, "schema-copy"


# --- SQLite -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _private_file(like: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="migdoctor-copy-"))
    try:
        yield folder / like.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _file_copy(session: Session) -> Iterator[Address]:
    path = session.address.path
    assert path is not None
    with _private_file(path) as copy:
        if shutil.disk_usage(copy.parent).free < path.stat().st_size * 1.1:
            raise NotObserved("copy", f"{copy.parent} has no room for a copy; set TMPDIR")
        _back_up(session, copy)
        yield Address(url=f"sqlite:///{copy}")


def _back_up(session: Session, copy: Path) -> None:
    deadline = time.monotonic() + _PATIENCE

    def give_up(status: int, _remaining: int, _total: int) -> None:
        # The backup would try again for ever while a writer holds the file.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise TimeoutError

    with contextlib.closing(sqlite3.connect(copy)) as target:
        while True:
            try:
                session.raw.backup(target, progress=give_up)
                # In WAL mode every later look at the copy would leave files beside it.
                target.execute("PRAGMA journal_mode = DELETE").fetchall()
                return
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise NotObserved("copy", "a writer holds the file locked") from None
                time.sleep(0.2)
            except sqlite3.Error as error:
                raise NotObserved("copy", f"the backup failed: {error}") from None


@contextlib.contextmanager
def schema_clone(session: Session) -> Iterator[Address]:
    """The address of an empty SQLite database with the same tables, indexes, triggers and views.

    Raises NotObserved("copy", why) where a stored statement cannot be run again.
    """
    path = session.address.path
    assert path is not None
    objects = session.query(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY type <> 'table', sql NOT LIKE 'CREATE VIRTUAL%', rowid"
    )
    with _private_file(path) as copy:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF").fetchall()
            target.execute("BEGIN")
            for kind, name, sql in objects:
                _remake(target, kind, name, sql)
            target.execute("COMMIT")
        yield Address(url=f"sqlite:///{copy}")


def _remake(target: sqlite3.Connection, kind: str, name: str, sql: str) -> None:
    known = "SELECT 1 FROM sqlite_master WHERE type = ? AND name = ?"
    if target.execute(known, (kind, name)).fetchone():
        return  # a virtual table has made its own tables
    try:
        target.execute(sql)
    except sqlite3.Error as error:
        raise NotObserved("copy", f"{kind} {name} cannot be made again: {error}") from None


# --- PostgreSQL ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _schema_copy(
    session: Session, versions: tuple[VersionTable, ...], shadow: Address | None
) -> Iterator[Address]:
    ((extensions, roles, public, invalid),) = session.query(_NEEDS)
    with contextlib.ExitStack() as stack:
        try:
            there = host.of(shadow)
            programs = there.programs(session.server_version // 10000)
            address = stack.enter_context(there.database("copy"))
            with open_writing(address) as target:
                lacking = _prepare(target, there, dict(extensions), roles, public)
                tls = _tls(programs, session, target)
                dump = _dump(session.address, programs, lacking, tls)
                _restore(programs, there, address, dump, lacking, tls)
                if there.private:
                    _weaken(target, invalid)
                _bring_over(target, session.search_path, versions)
        except NotObserved as error:
            raise NotObserved("copy", error.why) from None
        except DoctorError as error:
            raise NotObserved("copy", error.message) from None
        yield address


def _prepare(
    target: Session, there: Host, extensions: Mapping[str, str], roles: list[str], public: bool
) -> tuple[str, ...]:
    """Make what the dump takes for granted; returns the extensions that the shadow lacks."""
    rows = target.query(_EXTENSIONS)
    lacking = tuple(sorted(set(extensions) - {name for (name,) in rows}))
    known = {name for (name,) in target.query("SELECT rolname FROM pg_catalog.pg_roles")}
    unknown = sorted(set(roles) - known)
    if unknown and not there.private:
        raise NotObserved(
            "copy",
            f"policies name roles that the server of --shadow-url does not have"
            f" ({', '.join(unknown)}); make them there",
        )
    for role in unknown:
        with contextlib.suppress(DoctorError):  # made at the same moment for another copy
            target.run(f"CREATE ROLE {quoted(role)} NOLOGIN")
    for extension in lacking:
        if extensions[extension] == "public":
            for function in _SHIMS.get(extension, ()):
                target.run(
                    f"CREATE FUNCTION public.{function}() RETURNS uuid LANGUAGE sql"
                    " AS 'SELECT pg_catalog.gen_random_uuid()'"
                )
    if not public:
        target.run("DROP SCHEMA public")
    return lacking


def _tls(programs: Binaries, *sessions: Session) -> dict[str, str]:
    """What the client programs need in their environment where our own sessions speak TLS."""
    if not any(session.raw.pgconn.ssl_in_use for session in sessions):
        return {}
    if (environment := binaries.speaking_tls(programs)) is not None:
        return environment
    raise NotObserved(
        "copy",
        "the server is reached by TLS, which the pg_dump of migdoctor[shadow] speaks only beside a"
        " newer driver; install it with pip install --upgrade 'psycopg[binary]'",
    )


def _dump(
    address: Address,
    programs: Binaries,
    lacking: tuple[str, ...],
    tls: dict[str, str] | None = None,
) -> str:
    """The schema of the live database as SQL. The password travels by environment only."""
    arguments, environment = _for_libpq(address)
    arguments["options"] = f"{arguments.get('options', '')} -c default_transaction_read_only=on"
    # --exclude-extension is new in PostgreSQL 17; before it the restore names the extension.
    exclude = [f'--exclude-extension="{name}"' for name in lacking if programs.major >= 17]
    command = [
        str(programs.folder / "pg_dump"),
        *_DUMP.split(),
        *exclude,
        f"--dbname={_conninfo(arguments)}",
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment | (tls or {}),
            text=True, errors="surrogateescape", timeout=_DUMP_TIMEOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotObserved("copy", f"pg_dump: {type(error).__name__}") from None
    if done.returncode and "timeout" in done.stderr:
        why = "another session holds a table in ACCESS EXCLUSIVE mode; pg_dump waited 2 seconds"
        raise NotObserved("copy", why)
    if done.returncode:
        raise NotObserved("copy", address.mask(_first_error(done.stderr)))
    return done.stdout


def _for_libpq(address: Address) -> tuple[dict[str, object], dict[str, str]]:
    """Connection parameters for a command line, and the environment that has the password."""
    from sqlalchemy.engine import make_url

    arguments = make_url(address.url).translate_connect_args(username="user", database="dbname")
    arguments |= {k: _plain(v) for k, v in make_url(address.url).query.items()}
    arguments |= address.connect_args
    password = arguments.pop("password", None)
    if "sslpassword" in arguments:
        raise NotObserved("copy", "pg_dump cannot be given an sslpassword without showing it")
    arguments.setdefault("connect_timeout", 10)
    environment = dict(os.environ) | {"PGAPPNAME": "migdoctor", "LC_ALL": "C"}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    return arguments, environment


def _plain(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _conninfo(arguments: Mapping[str, object]) -> str:
    """A libpq connection string; quotes and backslashes are escaped (manual, section 34.1.1)."""
    return " ".join(
        f"{name}='{re.sub(chr(92) * 2 + '|' + chr(39), lambda m: chr(92) + m[0], str(value))}'"
        for name, value in arguments.items()
    )


def _restore(
    programs: Binaries,
    there: Host,
    address: Address,
    dump: str,
    lacking: tuple[str, ...],
    tls: dict[str, str] | None = None,
) -> None:
    arguments, environment = _for_libpq(address)
    if programs.major > there.version:
        # The one setting of its preamble that older servers do not know (17 brought it).
        dump = re.sub(r"(?m)^SET transaction_timeout = 0;\n", "", dump, count=1)
    first = _ONLY_HERE.replace("{name}", literal(_database(address)))
    done = subprocess.run(
        [str(programs.folder / "psql"), "--no-psqlrc", "--quiet", "--single-transaction",
         "--set=ON_ERROR_STOP=1", "--output=/dev/null", f"--dbname={_conninfo(arguments)}"],
        input=first + dump, capture_output=True, text=True, errors="surrogateescape",
        env=environment | (tls or {}) | {"PGCLIENTENCODING": "UTF8", "PGOPTIONS": ""},
    )  # fmt: skip
    if done.returncode:
        without = f" (the shadow lacks the extension {', '.join(lacking)})" if lacking else ""
        error = address.mask(_first_error(done.stderr))
        raise NotObserved("copy", f"the schema could not be restored: {error}{without}")


def _weaken(target: Session, invalid: list[list[str]]) -> None:
    """Make the invalid indexes, which pg_dump leaves out; only a superuser may call them so."""
    for name, text in invalid:
        target.run(text)
        target.run(
            "UPDATE pg_catalog.pg_index SET indisvalid = false "
            f"WHERE indexrelid = {literal(name)}::pg_catalog.regclass"
        )


def _first_error(stderr: str) -> str:
    """The line that says what went wrong, without the prefix of the program."""
    lines = [line for line in stderr.splitlines() if re.search(r"error:|ERROR:|FATAL:", line)]
    text = lines[0] if lines else stderr.strip().splitlines()[0] if stderr.strip() else "no message"
    return re.sub(r"^.*(error|ERROR|FATAL):\s+", "", text)


def _database(address: Address) -> str:
    from sqlalchemy.engine import make_url

    return make_url(address.url).database or ""


def _bring_over(target: Session, path: tuple[str, ...], versions: tuple[VersionTable, ...]) -> None:
    """The role's own search_path, and the rows of the version tables exactly as stored."""
    schemas = ", ".join(map(quoted, path)) or "''"
    target.run(f"ALTER DATABASE {quoted(_database(target.address))} SET search_path = {schemas}")
    for table in versions:
        if table.rows:
            values = ", ".join(f"({literal(row)})" for row in table.rows)
            name = quoted(table.schema, table.name)
            try:
                target.run(f"INSERT INTO {name} (version_num) VALUES {values}")
            except DoctorError as error:
                why = f"the rows of {table.label} could not be copied: {error.message}"
                raise NotObserved("copy", why) from None
