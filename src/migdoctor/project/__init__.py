"""Asks a project about itself: starts the agent in the project's interpreter and reads its answers.

The project's own code runs in that child process only (design section 5). Nothing here imports
sqlalchemy, alembic or the project.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from migdoctor.errors import NotApplicable
from migdoctor.facts import Draft, Drift, ModelDiff
from migdoctor.project.config import Project
from migdoctor.project.process import AgentFailed, Child, Progress, via

_LOG_LINES = 12
_SECRET_NAME = re.compile(r"pass|secret|token|key|credential|dsn|url", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextOptions:
    """What one `configure()` call of env.py said.

    `url` holds its secret; `connect_args` are the plain arguments beyond the URL, as the driver
    would have got them, and `dropped_connect_args` names those that are no plain values (an SSL
    context, a callable). `search_path` is the last SET search_path before `configure()`.
    `schemas` are those that the metadata names, `tables` how many tables it has. `locations` are
    the version folders that alembic would read after env.py or the manager had their say.
    """

    url: str | None
    connect_args: Mapping[str, object]
    dropped_connect_args: tuple[str, ...]
    dialect: str
    version_table: str
    version_table_schema: str | None
    has_metadata: bool
    tables: int
    schemas: tuple[str, ...]
    naming_convention: bool
    include_schemas: bool
    render_as_batch: bool
    compare_type: bool
    compare_server_default: bool
    transaction_per_migration: bool
    transactional_ddl: bool | None
    search_path: str | None
    locations: tuple[str, ...]
    offline: bool

    def __repr__(self) -> str:
        return f"ContextOptions(dialect={self.dialect!r}, version_table={self.version_table!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """All contexts of one run of env.py; `note` is the error that ended it after the last one."""

    contexts: tuple[ContextOptions, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay needs to know.

    `url` leads to the throw-away database, `marker` is what `marker_query` must answer there.
    `watch` is the SQL that tells what a statement did. The context to run is the first one;
    statements about its `version_table` are not recorded. `neutral` leaves statements that change
    rows out; `from_models` begins on a base made from the models; `tolerant` leaves revisions that
    fail out and goes on. `lacking` are extensions that are passed over. `locations` stand in for
    the version folders where they are given. `beyond` is a pattern of statements that are about
    more than a database: on a server that is not the doctor's own they are passed over. `order`
    are revisions in the order in which they are to run, empty: in alembic's own.
    """

    url: str
    marker: str
    marker_query: str
    watch: Mapping[str, str]
    version_table: str
    neutral: bool = False
    from_models: bool = False
    tolerant: bool = False
    pragmas: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    beyond: str = ""
    order: tuple[str, ...] = ()
    limit: float = 300.0


class Agent:
    """One child process in the project's interpreter, started at the first question.

    A context manager; leaving it ends the child. Each question has `timeout` seconds, then the
    child's process group is killed and the next question starts a new one.
    """

    def __init__(self, project: Project, *, timeout: float = 60.0) -> None:
        self.project = project
        self.timeout = timeout
        self.kept: dict[str, Any] | None = None  # of the last comparison, see `models`
        self._secrets: set[str] = _secrets_of(project)
        self._child: Child | None = None
        self._surroundings: dict[str, Any] | None = None
        self._locations: tuple[str, ...] = ()
        self._python = project.python

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._child:
            self._child.close()
            self._child = None

    def capture(self) -> Capture:
        """What env.py would connect to, and its options; no connection is made.

        Raises AgentFailed.
        """
        answer = self._ask("capture")
        contexts = tuple(_context(entry) for entry in answer["contexts"])
        for context in contexts:
            self._secrets |= _passwords(context.url or "")
        self._locations = contexts[0].locations
        return Capture(contexts=contexts, note=self._masked(answer["note"]))

    def models(
        self,
        url: str,
        connect_args: Mapping[str, object] | None = None,
        read_only: bool = True,
        **more: Any,
    ) -> ModelDiff:
        """As `comparing`, and wait for it."""
        return self.comparing(url, connect_args, read_only, **more)()

    def comparing(
        self,
        url: str,
        connect_args: Mapping[str, object] | None = None,
        read_only: bool = True,
        *,
        context: int = 0,
        rev_id: str = "migdoctor_adopt",
        message: str = "record what the database has",
        kept: Mapping[str, Any] | None = None,
    ) -> Callable[[], ModelDiff]:
        """Compare the database at `url` with the models of the `context`-th configure() call.

        On PostgreSQL with `read_only` the connection must be started read-only by its arguments
        (`options`: `-c default_transaction_read_only=on`); env.py's own writes are dropped. On
        SQLite `url` must be a throw-away clone: the repair is tried out there and changes it.

        The agent is at it until the returned function is called; nothing else may be asked before.
        Where nothing differs, the attribute `kept` is then what may be given as `kept` the next
        time: the same is not compared with the same again. None: that is not to be known.

        Raises NotApplicable when env.py has no target_metadata, AgentFailed for all else.
        """
        self._secrets |= _passwords(url)
        extra: dict[str, Any] = {
            "url": url,
            "connect_args": dict(connect_args or {}),
            "read_only": read_only and not url.startswith("sqlite"),
            "context": context,
            "rev_id": rev_id,
            "message": message,
            "kept": kept,
        }
        if not self.project.via:
            self._put("models", extra)
        return lambda: self._difference(self._compared("models", extra))

    def _difference(self, answer: dict[str, Any]) -> ModelDiff:
        self.kept = answer["kept"]
        restore = answer["restore"]
        return ModelDiff(
            drifts=tuple(
                Drift(op=op, subject=subject, text=text)
                for subject, op, text in sorted((s, o, t) for o, s, t in answer["drifts"])
            ),
            restore=None if restore is None else tuple((sql, tuple(h)) for sql, h in restore),
            adopt=_draft(answer["adopt"]) if answer["adopt"] else None,
            why_not=self._masked(answer["why_not"]),
        )

    def indexes(self, url: str, table: str) -> tuple[str, ...]:
        """CREATE INDEX statements of a table of the models (`schema.table` outside the default).

        `url` leads to a throw-away database. () for a table that the models do not have. Raises as
        `models`.
        """
        extra = {"url": url, "connect_args": {}, "read_only": False, "context": 0, "table": table}
        return tuple(self._compared("indexes", extra)["indexes"])

    def _compared(self, do: str, extra: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._ask(do, **extra)
        except AgentFailed as error:
            if error.kind != "stale":
                raise
            self.close()  # the application keeps a connection since its import: import it anew
            answer = self._ask(do, **{**extra, "kept": None})
        return answer

    def merge(
        self, heads: tuple[str, ...], rev_id: str, message: str, locations: tuple[str, ...] = ()
    ) -> Draft:
        """The merge revision of `heads`, rendered by alembic and not written.

        `locations` stand in for the version folders where they are given. Raises AgentFailed, also
        where alembic cannot load the history.
        """
        project = _project_of(self.project) | {"locations": list(locations or self._locations)}
        return _draft(
            self._ask("merge", heads=list(heads), rev_id=rev_id, message=message, project=project)
        )

    def surroundings(self) -> dict[str, Any]:
        """`python`, `sqlite` (versions), `path` (sys.path) and `packages` of the interpreter.

        Raises AgentFailed.
        """
        if self._surroundings is None:
            self._surroundings = self._ask("surroundings")
        return self._surroundings

    def replay(self, question: Replay, on_progress: Progress | None = None) -> dict[str, Any]:
        """Run the project's whole upgrade on a throw-away database; the raw recording.

        It has `start` (deltas that lead to the base) and `revisions` ([id, [[sql, data, batch,
        autocommit, delta], ...]]) with the rows of the watch (see replay.py), `stands`, `failed`
        ([id, error] or None), `skipped` and `total`. Env.py runs in a process of its own. Raises
        AgentFailed when nothing could be run: kind not-ours when the connection did not lead to
        the marked database.
        """
        self._secrets |= _passwords(question.url)
        extra = {"connect_args": {}, "read_only": False, **asdict(question)}
        project = _project_of(self.project) | {"locations": list(question.locations)}
        self.close()  # modules that were imported with closed connections may have kept some
        try:
            answer: dict[str, Any] = self._ask(
                "replay", timeout=question.limit + 30, on_progress=on_progress, **extra,
                project=project,
            )  # fmt: skip
        finally:
            self.close()
        for entry in [e for e in (answer["failed"], *answer["skipped"]) if e]:
            entry[1] = self._masked(entry[1])
        return answer

    def _ask(
        self,
        do: str,
        timeout: float | None = None,
        on_progress: Progress | None = None,
        **extra: Any,
    ) -> Any:
        timeout = timeout or self.timeout
        if self.project.via and do not in ("merge", "surroundings"):
            question = {"do": do, "project": _project_of(self.project), **extra}
            return self._result(*via(self.project, question, timeout))
        child = self._put(do, extra)
        answer, log = child.answer(timeout, on_progress)
        if answer is None or "died" in answer:
            self.close()
        return self._result(answer, log)

    def _put(self, do: str, extra: Mapping[str, Any]) -> Child:
        """Ask the child, unless this very question is what it is at."""
        question = {"do": do, "project": _project_of(self.project), **extra}
        if self._child is None:
            self._child = self._started()
        if self._child.asked != question:
            if self._child.asked:
                self._child.answer(self.timeout)  # to what nobody waits for any more
            self._child.put(question)
        return self._child

    def _started(self) -> Child:
        """A child that can import alembic; a guessed interpreter without it gives way to ours."""
        child = Child(self._python, self.project.cwd)
        answer, log = child.read(self.timeout)
        if answer and "ok" in answer:
            return child
        child.close()
        own = Path(sys.executable)
        if self.project.python_chosen or self._python == own:
            self._result(answer, log)
        self._python = own
        return self._started()

    def _result(self, answer: dict[str, Any] | None, log: str) -> Any:
        """The content of an answer; raises what a failure means."""
        log = self._masked("\n".join(log.splitlines()[-_LOG_LINES:]))
        if answer is None:
            raise AgentFailed(f"no answer within {self.timeout:g} seconds", log, kind="timeout")
        if "died" in answer:
            raise AgentFailed(f"the process ended ({answer['died']})", log, kind="ended")
        if "ok" in answer:
            return answer["ok"]
        failed = answer["failed"]
        if failed["kind"] == "no-models":
            raise NotApplicable("models", "env.py gives no target_metadata")
        first = (failed["message"].strip().splitlines() or [""])[0]
        where = f" (env.py line {failed['line']})" if failed["line"] else ""
        error = self._masked(f"{failed['error']}: {first}".rstrip(": ")) + where
        log = "\n".join((self._masked(failed["trace"]).strip(), log)).strip()
        log = "\n".join(log.splitlines()[-_LOG_LINES:])
        raise AgentFailed(error.rstrip("."), log, kind=failed["kind"], line=failed["line"])

    def _masked(self, text: str) -> str:
        """`text` without known secrets and without anything that looks like one in a URL."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        text = re.sub(r"(\w://[^\s:/@]*:)[^\s@]+@", r"\1***@", text)
        return re.sub(
            r"(?i)(password|passwd|secret|token)(['\"]?\s*[=:]\s*)[^\s,&'\")]+", r"\1\2***", text
        )


def _project_of(project: Project) -> dict[str, Any]:
    """The part of a project that the agent needs."""
    return {
        "ini": str(project.config_file) if project.config_file else None,
        "toml": str(project.pyproject) if project.pyproject else None,
        "section": project.section,
        "script_location": str(project.script_location),
        "env_py": str(project.script_location / "env.py"),
        "x": list(project.x),
        "url": project.url if project.ini_url is None else None,
    }


def _context(entry: dict[str, Any]) -> ContextOptions:
    values = {field.name: entry[field.name] for field in fields(ContextOptions)}
    values["schemas"] = tuple(values["schemas"])
    values["locations"] = tuple(values["locations"])
    values["dropped_connect_args"] = tuple(values["dropped_connect_args"])
    return ContextOptions(**values)


def _draft(entry: dict[str, Any]) -> Draft:
    return Draft(id=entry["id"], path=Path(entry["path"]), text=entry["text"])


def _secrets_of(project: Project) -> set[str]:
    """Values that must not appear in any text: of the environment, the ini and -x."""
    texts = [project.ini_url or "", project.url or "", *project.x]
    found = {v for k, v in os.environ.items() if _SECRET_NAME.search(k) and "://" not in v}
    texts += [v for v in os.environ.values() if "://" in v]
    for text in texts:
        found |= _passwords(text)
    return {secret for secret in found if len(secret) >= 6 and "/" not in secret}


def _passwords(text: str) -> set[str]:
    """Passwords of the URLs in a text, as written and decoded."""
    from urllib.parse import unquote

    written = re.findall(r"\w://[^\s:/@]*:([^\s@]+)@", text)
    return {form for word in written for form in (word, unquote(word)) if len(form) >= 4}
