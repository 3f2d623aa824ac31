"""Builds the broken sample databases: really runs alembic, then really breaks things.

A sample is a folder with `sample.toml` (its format is described in sample_broken_dbs/README.md).
`build` makes a project and a database from it and returns a `Box`, which must be closed.
"""

import atexit
import json
import os
import py_compile
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from migdoctor.errors import DoctorError, UsageError

INFO = frozenset({"MD212", "MD308", "MD506"})
SEED = """
INSERT INTO users (email) VALUES ('ada@example.org'), ('bob@example.org'), ('cy@example.org');
INSERT INTO orders (user_id, total)
SELECT id, 100 * id FROM users WHERE email IN ('ada@example.org', 'bob@example.org');
"""


class TooOld(UsageError):
    """The server is older than what a sample is about."""


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What a sample promises: codes of diagnose, of the default plan, and of the cured database.

    Everything that sample.toml leaves out follows from `codes` and `left`.
    """

    codes: tuple[str, ...]
    exit: int
    plan: tuple[str, ...]
    hazards: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    fix_exit: int = 0
    only: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    then: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    rehearsed: bool = True
    diff: bool = True


@dataclass(kw_only=True)
class Box:
    """One sample, built. `folder` is its project (and cwd), `url` what migdoctor looks at.

    `owner_url` reaches the same database with all rights. `args` and `env` belong to every
    migdoctor call. Close it: that ends held transactions and drops what was made on a server.
    """

    name: str
    dialect: str
    folder: Path
    url: str
    owner_url: str
    title: str
    expect: Expect
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    holders: list[subprocess.Popen[str]] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    made_database: bool = False
    commits: int = 0

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started. Harmless when repeated."""
        self.release()
        while self.roles:
            role = self.roles.pop()
            run_sql(self.owner_url, f'DROP OWNED BY "{role}"; \nDROP ROLE "{role}"')
        if self.made_database:
            from migdoctor.shadow import server

            self.made_database = False
            server.running().drop(make_url(self.owner_url).database or "")

    def release(self) -> None:
        """End the transactions that the sample holds open."""
        while self.holders:
            holder = self.holders.pop()
            with holder:
                holder.kill()

    def alembic(self, command: str, kill_before: str = "") -> tuple[int, str]:
        """Really run `alembic COMMAND` in the project; returns its exit status and its output."""
        return _run_alembic(self.folder, command.split(), self.env, kill_before)

    def git(self, *words: str) -> str:
        """Really run git in the project, as nobody in particular; a day passes with each commit."""
        return _run_git(self, words)

    def count(self, table: str) -> int:
        """Rows of one table, over a connection of its own."""
        return int(run_sql(self.owner_url, f"SELECT count(*) FROM {table}")[0][0])


def root() -> Path:
    """The folder of samples: inside the installed package, else in the source tree."""
    installed = Path(__file__).with_name("_samples")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "sample_broken_dbs"


def names() -> tuple[str, ...]:
    """All samples, in order."""
    return tuple(sorted(path.parent.name for path in root().glob("*/sample.toml")))


@cache
def recipe(sample: str) -> dict[str, Any]:
    """The content of a sample's sample.toml. Raises UsageError for an unknown name."""
    path = root() / sample / "sample.toml"
    if not path.is_file():
        known = ", ".join(names())
        raise UsageError(f"There is no sample named {sample!r}.", f"Choose one of: {known}.")
    return tomllib.loads(path.read_text())


def dialects(sample: str) -> tuple[str, ...]:
    """The engines on which a sample can be built; the first one is the one to show."""
    return tuple(recipe(sample).get("dialects", ("sqlite", "postgresql")))


def expectation(sample: str, dialect: str) -> Expect:
    """The promise of a sample on one engine, defaults filled in."""
    told = dict(recipe(sample).get("expect", {}))
    others = {name: told.pop(name) for name in ("sqlite", "postgresql") if name in told}
    told |= others.get(dialect, {})
    codes, left = told.get("codes", []), told.get("left", [])
    told.setdefault("exit", 0 if INFO.issuperset(codes) else 1)
    told.setdefault("fix_exit", 0 if INFO.issuperset(left) else 1)
    told.setdefault("plan", [code for code in codes if code not in left])
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    return Expect(**fields)


def build(sample: str, dialect: str, folder: Path, url: str | None = None) -> Box:
    """Build a sample in an empty folder; on PostgreSQL in `url` or in a fresh embedded database.

    Raises UsageError for an unknown sample, TooOld where the server is too old for it, DoctorError
    where a step did not go as described.
    """
    told = recipe(sample)
    folder.mkdir(parents=True, exist_ok=True)
    box = Box(
        name=sample,
        dialect=dialect,
        folder=folder,
        url=url or f"sqlite:///{folder / 'app.db'}",
        owner_url="",
        title=told["title"],
        expect=expectation(sample, dialect),
    )
    if dialect == "postgresql" and url is None:
        from migdoctor.shadow import server

        box.url, box.made_database = server.running().create("sample"), True
    box.owner_url = box.url
    try:
        _demand(box, told.get("since"))
        _project(box, told)
        for step in told.get("build", ()):
            _step(box, step)
    except BaseException:
        box.close()
        raise
    places = {"url": box.url, "owner_url": box.owner_url, "dir": str(folder)}
    extra = told.get("cli", {})
    box.args = (
        "-c",
        str(folder / "alembic.ini"),
        *(a.format(**places) for a in extra.get("args", ())),
    )
    box.env |= {name: value.format(**places) for name, value in extra.get("env", {}).items()}
    return box


def _demand(box: Box, since: dict[str, Any] | None) -> None:
    """Raise TooOld where the server is older than the sample needs."""
    version = run_sql(box.url, "SHOW server_version_num")[0][0] if since else 0
    if since and int(version) < since["postgresql"] * 10000:
        raise TooOld(
            f"Sample {box.name} needs PostgreSQL {since['postgresql']}: {since['why']}.",
            "Install migdoctor[shadow], which brings a newer one.",
        )


def _project(box: Box, told: dict[str, Any]) -> None:
    """Lay out the project: the shared one, then what the sample has of its own."""
    own = told.get("history", "shared") == "own"
    skip = shutil.ignore_patterns(
        "__pycache__", *(["*1_*.py", "*2_*.py", "*3_*.py"] if own else [])
    )
    shutil.copytree(root() / "_shared" / "project", box.folder, ignore=skip, dirs_exist_ok=True)
    _overlay(box, "project")
    if isolation := told.get("engine_options"):
        box.env["MIGDOCTOR_SAMPLE_ISOLATION"] = isolation
    if box.dialect == "postgresql":
        _point(box, box.url)


def _overlay(box: Box, name: str) -> None:
    source = root() / box.name / name
    if source.is_dir():
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, box.folder, ignore=skip, dirs_exist_ok=True)


def _point(box: Box, url: str) -> None:
    """Let the project name this database: the URL line of its alembic.ini, '%' doubled."""
    box.url = url
    ini = box.folder / "alembic.ini"
    if ini.is_file():
        line = "sqlalchemy.url = " + url.replace("%", "%%")
        ini.write_text(re.sub(r"(?m)^sqlalchemy\.url\s*=.*$", lambda _: line, ini.read_text()))


def _step(box: Box, step: dict[str, Any]) -> None:
    """Do one `[[build]]` table."""
    match step:
        case {"alembic": command, "waits": True}:
            box.holders.append(_waiting_alembic(box, command))
        case {"alembic": command}:
            _alembic_step(box, step, command)
        case {"seed": True}:
            run_sql(box.owner_url, SEED)
        case {"overlay": name}:
            _overlay(box, name)
        case {"remove": paths}:
            for path in paths:
                (box.folder / path).unlink()
        case {"binary": {"path": path, "hex": digits}}:
            (box.folder / path).write_bytes(bytes.fromhex(digits))
        case {"hold": sql}:
            box.holders.append(_hold(box.owner_url, sql, waits=step.get("waits", False)))
        case {"compile": path}:
            _leave_bytecode(box.folder / path, beside=step.get("beside", False))
        case {"commit": message}:
            box.git("init", "--quiet", "--initial-branch=main")
            (box.folder / ".git" / "info" / "exclude").write_text("app.db*\n__pycache__\n*.pyc\n")
            box.git("add", "--all")
            box.git("commit", "--quiet", "--allow-empty", "-m", message)
        case {"git": command}:
            box.git(*shlex.split(command))
        case {"role": role}:
            _role(box, role)
        case {"url": url}:
            _point(box, url.format(dir=box.folder, url=box.owner_url))
        case {"release": True}:
            box.release()
        case {"sql": sql, "fails": text}:
            _failing(box, sql, text)
        case {"sql": _} | {"sql_sqlite": _} | {"sql_postgresql": _}:
            run_sql(box.owner_url, step.get(f"sql_{box.dialect}", step.get("sql", "")))
        case _:
            raise UsageError(f"Sample {box.name} has a step that is not known: {step}.")


def _alembic_step(box: Box, step: dict[str, Any], command: str) -> None:
    status, output = box.alembic(command, step.get("kill_before", ""))
    if "kill_before" in step:
        right = status == -9
    elif "fails" in step:
        right = status != 0 and step["fails"] in output
    else:
        right = status == 0
    if not right:
        raise DoctorError(f"Sample {box.name}: alembic {command} ended with {status}:\n{output}")


def _waiting_alembic(box: Box, command: str) -> subprocess.Popen[str]:
    """A real alembic that is left waiting for a lock."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "-m", "alembic", *command.split()],
        cwd=box.folder, env=os.environ | box.env, stdin=nothing, stdout=nothing, stderr=nothing,
        text=True,
    )  # fmt: skip
    here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    if not _seen_waiting(box.owner_url, f"mode = 'AccessExclusiveLock' AND database = {here}"):
        with process:
            process.kill()
        raise DoctorError(f"Sample {box.name}: alembic {command} does not wait for a lock.")
    return process


def _failing(box: Box, sql: str, text: str) -> None:
    try:
        run_sql(box.owner_url, sql)
    except (psycopg.Error, sqlite3.Error) as error:
        if text in str(error):
            return
        raise
    raise DoctorError(f"Sample {box.name}: this should have failed: {sql}")


def _leave_bytecode(source: Path, beside: bool) -> None:
    target = source.with_suffix(".pyc") if beside else Path(cache_from_source(str(source)))
    py_compile.compile(str(source), str(target), doraise=True)
    source.unlink()


def _role(box: Box, role: str) -> None:
    """A login that may read everything and write nothing; the box's URL then uses it."""
    name = f"{role}_{os.getpid()}_{time.monotonic_ns()}"
    box.roles.append(name)
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
    run_sql(box.owner_url, f'CREATE ROLE "{name}" LOGIN')
    for (schema,) in run_sql(box.owner_url, schemas):
        for grant in ("USAGE ON SCHEMA", "SELECT ON ALL TABLES IN SCHEMA"):
            run_sql(box.owner_url, f'GRANT {grant} "{schema}" TO "{name}"')
    url = make_url(box.owner_url).set(username=name)
    _point(box, url.render_as_string(hide_password=False))


# --- statements ---------------------------------------------------------------------------------


@contextmanager
def _cursor(url: str) -> Iterator[Any]:
    """A cursor of the plain driver in autocommit."""
    address = make_url(url)
    connection: Any
    if address.get_backend_name() == "sqlite":
        connection = sqlite3.connect(address.database or "", isolation_level=None)
    else:
        plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(plain, autocommit=True)
    with closing(connection), closing(connection.cursor()) as cursor:
        yield cursor


def run_sql(url: str, text: str) -> list[tuple[Any, ...]]:
    """Run statements (each ends with ';' at the end of a line); the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with _cursor(url) as cursor:
        for statement in statements(text):
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


def statements(text: str) -> list[str]:
    """Split at ';' at the end of a line."""
    return [part for part in map(str.strip, re.split(r";[ \t]*(?:\n|$)", text)) if part]


def _hold(url: str, sql: str, waits: bool) -> subprocess.Popen[str]:
    """Another process that runs statements and keeps its transaction until it is killed.

    `waits`: its last statement is expected to wait for a lock; it is then not waited for.
    """
    command = [sys.executable, "-m", "migdoctor.samples", url, sql]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    pid = holder.stdout.readline().strip()
    ready = (
        _seen_waiting(url, f"pid = {pid}") if waits else holder.stdout.readline().strip() == "held"
    )
    if not ready:
        with holder:
            holder.kill()
        raise DoctorError(f"The statements could not be held: {sql}")
    return holder


def _seen_waiting(url: str, which: str) -> bool:
    waiting = f"SELECT 1 FROM pg_locks WHERE {which} AND NOT granted"
    for _ in range(200):
        if run_sql(url, waiting):
            return True
        time.sleep(0.05)
    return False


def _holder_main(url: str, sql: str) -> None:
    """The body of that process: the server's pid, then 'held', then wait for the end of stdin."""
    with _cursor(url) as cursor:
        pid = os.getpid() if url.startswith("sqlite") else cursor.connection.info.backend_pid
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        for statement in statements(sql):
            cursor.execute(statement)
        sys.stdout.write("held\n")
        sys.stdout.flush()
        sys.stdin.read()


# --- git ----------------------------------------------------------------------------------------


def _run_git(box: Box, words: tuple[str, ...]) -> str:
    """What git prints. Raises DoctorError when it fails or is not there."""
    box.commits += words[0] in ("commit", "merge", "stash")
    day = date(2024, 1, 1) + timedelta(days=box.commits)
    who = {"NAME": "Ada", "EMAIL": "ada@example.org", "DATE": f"{day}T00:00:00+00:00"}
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in who.items()}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        done = subprocess.run(
            ["git", *words], cwd=box.folder, env=env, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise DoctorError(f"This sample needs git: {error.strerror}.") from error
    if done.returncode:
        raise DoctorError(f"Sample {box.name}: git {words[0]} failed:\n{done.stderr}")
    return done.stdout.strip()


# --- alembic ------------------------------------------------------------------------------------


@cache
def _runner() -> subprocess.Popen[str]:
    """The process that runs alembic for us; one for the whole life of this process."""
    runner = subprocess.Popen(
        [sys.executable, "-m", "migdoctor.sample_runner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(runner.__exit__, None, None, None)
    return runner


def _run_alembic(
    folder: Path, argv: list[str], env: dict[str, str], kill_before: str
) -> tuple[int, str]:
    log = folder / ".alembic-output"
    request = {"argv": argv, "cwd": str(folder), "env": env, "log": str(log)}
    runner = _runner()
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(json.dumps(request | {"kill_before": kill_before}) + "\n")
    runner.stdin.flush()
    status = int(runner.stdout.readline())
    output = log.read_text(errors="replace")
    log.unlink()
    return status, output


if __name__ == "__main__":
    _holder_main(sys.argv[1], sys.argv[2])
