"""Knows what a comparison came from, so that one that found nothing need not be made again.

Everything that goes into a comparison is noted while it goes in: each file that is opened for
reading, the environment, what the database answers to each statement, and the models as they came
to be. env.py runs every time, on both sides of the comparison; what is left out the second time is
only what alembic makes of the same models and the same rows. Where something went in that cannot be
noted (a process, a network, a driver called directly), nothing is kept and nothing is used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Iterator

from .connections import dbapi_connection, doors, query
from .state import WRITES, Failure, State

FOREIGN = ("site-packages", "dist-packages")
# Those that a terminal or a login sets anew each time, and no program of a project reads.
OF_THE_SHELL = frozenset((
    "_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "WINDOWID", "GPG_TTY", "TMUX", "TMUX_PANE",
    "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TERM_SESSION_ID", "XDG_SESSION_ID",
))  # fmt: skip
OUTSIDE = (
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.spawn",
    "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
    "socket.gethostbyaddr", "socket.sendto", "socket.sendmsg", "sqlite3.connect",
)  # fmt: skip
OURS = (str(Path(__file__).absolute().parent), "/proc/thread-self/ns")
OWN = sorted(Path(__file__).parent.glob("*.py"))
STANDARD = str(Path(os.__file__).parent)
READS = re.compile(r"\s*\(*\s*(select|with|show|pragma)\b", re.IGNORECASE)
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid"
ATTACHED = "SELECT name FROM pragma_database_list WHERE name <> 'temp'"
SLACK = 20_000_000  # nanoseconds by which the clock of a file system may lag behind


class Seen:
    """What has gone in so far, in this process."""

    since: ClassVar[int] = 0
    files: ClassVar[dict[str, None]] = {}
    later: ClassVar[set[str]] = set()  # of these, the ones that a comparison itself has opened
    doubts: ClassVar[list[str]] = []
    answers: ClassVar[list[Any]] = []  # [statement, parameters, digest of the rows]
    only: ClassVar[Any] = None  # the one connection that may be asked while it is compared


def start() -> None:
    """From now on, note what is opened and what leads out of the process."""
    Seen.since = time.time_ns() - SLACK
    sys.addaudithook(note)


def note(event: str, args: Any) -> None:
    if event == "open":
        path, _mode, flags = args
        if isinstance(path, (str, bytes)) and flags & os.O_ACCMODE != os.O_WRONLY:
            Seen.files[str(Path(os.fsdecode(path)).absolute())] = None
    elif event in OUTSIDE and not State.opening and State.in_creator is None:
        Seen.doubts.append(event)


@contextmanager
def listening() -> Iterator[None]:
    """Note what the database answers; drivers that are called directly raise a doubt."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    del Seen.answers[:]
    Seen.only = None
    closed = [(owner, name, vars(owner).get(name)) for owner, name in doors(None)]
    event.listen(Engine, "after_cursor_execute", answered)
    for owner, name, _ in closed:
        entrance = _doubting(getattr(owner, name))
        setattr(owner, name, staticmethod(entrance) if isinstance(owner, type) else entrance)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", answered)
        for owner, name, real in closed:
            if real is None:
                delattr(owner, name)
            else:
                setattr(owner, name, real)


def _doubting(real: Any) -> Any:
    def entrance(*args: Any, **kw: Any) -> Any:
        if not State.opening:
            Seen.doubts.append("a driver was called directly")
        return real(*args, **kw)

    return entrance


def answered(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    """Keep a digest of the rows; the result that the caller gets is made of the same ones."""
    rows = None
    if cursor.description is not None:
        buffered = None if getattr(context, "_is_server_side", False) else _buffered()
        if buffered is None or not READS.match(statement):
            Seen.doubts.append("rows were not noted")
            return
        rows = cursor.fetchall()
        context.cursor_fetch_strategy = buffered(cursor, initial_buffer=deque(rows))
    if Seen.only not in (None, dbapi_connection(connection)):
        Seen.doubts.append("another connection was asked")
    plain = json.dumps(parameters, default=str)
    if many or json.loads(plain) != _listed(parameters):
        Seen.doubts.append("a statement with parameters that are no plain values")
    Seen.answers.append([statement, parameters, digest(rows)])


def _buffered() -> Any:
    try:
        from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
    except ImportError:  # SQLAlchemy 1.3
        return None
    return FullyBufferedCursorFetchStrategy


def _listed(value: Any) -> Any:
    """A value as JSON gives it back, except for what JSON would change."""
    if isinstance(value, (list, tuple)):
        return [_listed(v) for v in value]
    if isinstance(value, dict):
        return {k: _listed(v) for k, v in value.items()}
    return value


def digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()


# --- one comparison -------------------------------------------------------------------------------


class Trace:
    """What goes into one comparison; made right before it.

    `project` is a digest of all that went in until then, None where that cannot be known.
    """

    def __init__(self, environment: Any, question: dict[str, Any], metadata: list[Any]) -> None:
        self.connection = environment.get_context().connection
        self.files = {path for path in [*Seen.files, *loaded()] if path not in Seen.later}
        self.asked = len(Seen.answers)
        self.project = so_far(environment.get_context(), question, metadata, self.files)
        # a clone is private, so that its answers can be known at once
        sqlite = self.connection.dialect.name == "sqlite"
        self.clone = clone_answers(self.connection) if sqlite else None
        Seen.only = dbapi_connection(self.connection)

    def same_as(self, kept: Any) -> bool:
        """Whether the comparison that was kept had all of this, and would get the same rows."""
        if not kept or self.project is None or kept["project"] != self.project:
            return False
        if signatures(kept["files"]) != kept["files"] or Seen.doubts:
            return False
        if self.clone is not None:
            return bool(self.clone == kept["answers"])
        return again(self.connection, kept["answers"])

    def of_equality(self) -> Any:
        """What to keep of a comparison that found nothing; None where it cannot be known."""
        answers = Seen.answers[self.asked :] if self.clone is None else self.clone
        Seen.later.update(path for path in [*Seen.files, *loaded()] if path not in self.files)
        files = signatures(Seen.later)
        reading = all(READS.match(sql) and not WRITES.match(sql) for sql, _, _ in answers)
        if self.project is None or Seen.doubts or not reading:
            return None
        return {"project": self.project, "files": files, "answers": answers}


def so_far(context: Any, question: dict[str, Any], metadata: list[Any], files: Any) -> Any:
    """Digest of what made the models and the options, and of the models; None in doubt."""
    try:
        made = _digest_of(context, question, metadata, files)
    except Exception as error:  # models that cannot be described can still be compared
        Seen.doubts.append("it cannot be described: %s" % error)
    return None if Seen.doubts else made


def _digest_of(context: Any, question: dict[str, Any], metadata: list[Any], files: Any) -> str:
    dialect = context.dialect
    project = sorted(question["project"].items())
    plain = sorted((k, v) for k, v in context.opts.items() if isinstance(v, PLAIN))
    environment = sorted((k, v) for k, v in os.environ.items() if k not in OF_THE_SHELL)
    words = [
        [digest(file.read_bytes()) for file in OWN], project, question["context"],
        sys.version, sys.flags, sys.argv, list(dict.fromkeys(sys.path)), str(Path.cwd()),
        os.uname().nodename, environment, plain, Seen.answers,
        # code may look at the date; finer than that no clock is taken for an input
        time.strftime("%Y-%m-%d"), time.strftime("%Y-%m-%d", time.gmtime()),
        dialect.name, dialect.driver, dialect.server_version_info, dialect.default_schema_name,
        sorted(signatures(files).items()),
    ]  # fmt: skip
    made = hashlib.sha256(repr(words).encode("utf-8", "surrogateescape"))
    for one in metadata:
        for text in described(one, dialect):
            made.update(text.encode("utf-8", "surrogateescape"))
    return made.hexdigest()


def clone_answers(connection: Any) -> list[Any]:
    """All that reflection can see of a private clone follows from its schema table."""
    if len(query(connection, ATTACHED)) > 1:
        Seen.doubts.append("another database is attached")
    return [[SCHEMA, [], digest(query(connection, SCHEMA))]]


def again(connection: Any, answers: list[Any]) -> bool:
    """Whether every statement gives the rows that it gave then."""
    try:
        now = _now(connection, answers)
    except Exception as error:  # that spoils the transaction: to be begun anew, with nothing kept
        raise Failure("stale", "it cannot be asked again: %s" % error) from error
    return bool(answers) and now == [was for _, _, was in answers]


def _now(connection: Any, answers: list[Any]) -> list[str]:
    """Digests of the rows that the statements give; in one turn where the driver can do that."""
    raw = dbapi_connection(connection)
    if type(raw).__module__.split(".")[0] == "psycopg" and hasattr(raw, "pipeline"):
        cursors = [raw.cursor() for _ in answers]
        with raw.pipeline():
            for cursor, (sql, given, _) in zip(cursors, answers):
                cursor.execute(sql, _bound(given))
        return [digest(cursor.fetchall()) for cursor in cursors]
    before = len(Seen.answers)
    for sql, given, _ in answers:
        connection.exec_driver_sql(sql, _bound(given))
    noted = [answer[2] for answer in Seen.answers[before:]]
    del Seen.answers[before:]
    return noted


def _bound(parameters: Any) -> Any:
    return tuple(parameters) if isinstance(parameters, list) else parameters


# --- files ----------------------------------------------------------------------------------------


def loaded() -> list[str]:
    """The files of modules; some were there before anything was noted."""
    spaces = (getattr(module, "__dict__", None) or {} for module in list(sys.modules.values()))
    return [path for path in (space.get("__file__") for space in spaces) if isinstance(path, str)]


def signatures(paths: Any) -> dict[str, Any]:
    """What tells one content of a file from another; those that we open ourselves left out."""
    return {path: signature(path) for path in paths if not path.startswith(OURS)}


def signature(path: str) -> Any:
    """The content of the project's own files, the times and size of installed ones."""
    try:
        told = Path(path).stat()
    except OSError:
        return None
    if told.st_ctime_ns >= Seen.since:
        Seen.doubts.append("changed while it was read: " + path)
    if not stat.S_ISREG(told.st_mode):
        if not stat.S_ISDIR(told.st_mode):
            Seen.doubts.append("no file: " + path)
        return "other"
    if any(part in path for part in FOREIGN) or path.startswith(STANDARD):
        return [told.st_size, told.st_mtime_ns, told.st_ctime_ns]
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


# --- models by value ------------------------------------------------------------------------------


def described(metadata: Any, dialect: Any) -> Iterator[str]:
    """Everything about tables that a comparison may look at; code is in the files noted above."""
    yield value([metadata.schema, dict(metadata.naming_convention)], dialect)
    for key in sorted(metadata.tables):
        table = metadata.tables[key]
        yield repr((key, table.comment, [str(p) for p in table._prefixes]))
        yield from _more(table, dialect)
        for column in table.columns:
            yield repr((
                column.key, column.name, column.nullable, column.primary_key, column.comment,
                column.autoincrement, column.system, value(column.type, dialect),
                value(column.server_default, dialect),
            ))  # fmt: skip
            yield from _more(column, dialect)
        yield from sorted(_constraint(one, dialect) for one in table.constraints)
        yield from sorted(_index(one, dialect) for one in table.indexes)


def _more(thing: Any, dialect: Any) -> Iterator[str]:
    """Options of dialects and notes of the project, where there are any."""
    for name in ("info", "dialect_options"):
        if thing.__dict__.get(name):
            given = thing.info if name == "info" else dict(thing.dialect_kwargs)
            if given:
                yield value(given, dialect)


def _constraint(one: Any, dialect: Any) -> str:
    rules = ("deferrable", "initially", "ondelete", "onupdate", "match", "sqltext", "where")
    said = [value(getattr(one, name, None), dialect) for name in rules]
    ends = [element.target_fullname for element in getattr(one, "elements", ())
            if hasattr(element, "target_fullname")]  # fmt: skip
    columns = [column.key for column in getattr(one, "columns", ())]
    exact = [str(part) for part in getattr(one, "operators", {}).items()]
    return repr((type(one).__name__, one.name, columns, ends, exact, said)) + "".join(
        _more(one, dialect)
    )


def _index(one: Any, dialect: Any) -> str:
    parts = [value(part, dialect) for part in one.expressions]
    return repr((one.name, one.unique, parts)) + "".join(_more(one, dialect))


PLAIN = (str, int, float, bytes, type(None))
NO_PART = ("dispatch", "comparator", "metadata", "table", "parent", "column")


def value(thing: Any, dialect: Any, depth: int = 0) -> str:
    """A value as text; of what is foreign to SQLAlchemy the name of its type."""
    if isinstance(thing, PLAIN):
        return repr(thing)
    inner = depth + 1
    if isinstance(thing, (list, tuple)):
        return "[%s]" % ", ".join([value(v, dialect, inner) for v in thing])
    if isinstance(thing, (set, frozenset)):
        return "{%s}" % ", ".join(sorted(value(v, dialect, inner) for v in thing))
    if isinstance(thing, dict):
        pairs = ((value(k, dialect, inner), value(v, dialect, inner)) for k, v in thing.items())
        return "{%s}" % ", ".join(sorted("%s: %s" % pair for pair in pairs))
    if getattr(thing, "table", None) is not None and hasattr(thing, "key"):
        return "column " + str(thing.key)
    if hasattr(thing, "get_children"):  # an expression
        with suppress(Exception):
            return str(thing.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    kind = thing if isinstance(thing, type) or callable(thing) else type(thing)
    name = "%s.%s" % (getattr(kind, "__module__", ""), getattr(kind, "__qualname__", ""))
    own = not name.startswith("sqlalchemy.")
    if isinstance(thing, type) or depth > 6 or (own and not hasattr(thing, "dialect_impl")):
        return name
    parts = [
        "%s=%s" % (key, value(part, dialect, inner))
        for key, part in sorted(vars(thing).items())
        if key not in NO_PART and (key[0] != "_" or (own and isinstance(part, PLAIN)))
    ]
    return "%s(%s)" % (name, ", ".join(parts))
