"""The process of the agent: started, asked through pipes, and ended whatever it does."""

import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from migdoctor.errors import DoctorError
from migdoctor.project.config import Project

Progress = Callable[[int, int], None]  # revisions done, revisions in all

_AGENT = Path(__file__).parent / "agent" / "__main__.py"
_SITECUSTOMIZE = """\
import os, runpy, sys
sys.path[:] = [p for p in sys.path if p != {here!r}]
try:
    import alembic, sqlalchemy
except ImportError:
    pass
else:
    runpy.run_path({agent!r})["started"]().inject({question!r}, {answer!r})
try:
    import importlib
    sys.modules.pop("sitecustomize", None)
    importlib.import_module("sitecustomize")
except ImportError:
    pass
"""


class AgentFailed(DoctorError):
    """The project's env.py, models or history could not be used (MD002; degraded, not fatal).

    `kind` is one of: env.py (it raised), environment (a package or a setting is missing in the
    project's environment), no-context (it never called configure()), not-ours (its connection
    was not the one that was asked for), stale, timeout, ended (the process died). `error` is one
    line, `log` the last lines of output; neither holds a secret that is known as one.
    """

    code = "MD002"

    def __init__(self, error: str, log: str = "", *, kind: str, line: int | None = None) -> None:
        super().__init__(f"The project's own code could not be used: {error}.", _HELP[kind])
        self.error = error
        self.log = log
        self.kind = kind
        self.line = line


_HELP = {
    "env.py": "Set what env.py needs (variables, -x) or give the address with --url.",
    "environment": "Name the project's interpreter with --python, or complete its environment.",
    "no-context": "Give the address of the database with --url.",
    "not-ours": "Nothing was compared; give the address of the database with --url.",
    "stale": "Run it again.",
    "timeout": "Look at what env.py waits for; a longer time can be given.",
    "ended": "Run `alembic current` by hand to see what ends the process.",
}


class Child:
    """The process, its two pipes and the file that takes its output."""

    def __init__(self, python: Path, cwd: Path) -> None:
        self.asked: Mapping[str, Any] | None = None  # what it is at
        self._log: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115  closed in close()
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        try:
            self._process = subprocess.Popen(
                [python, "-B", _AGENT, str(their_in), str(their_out)],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(their_in, their_out),
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            os.close(our_out)
            os.close(our_in)
            text = f"{python} cannot be run: {error.strerror}"
            raise AgentFailed(text, kind="environment") from None
        finally:
            os.close(their_in)
            os.close(their_out)
        self._out, self._in = our_out, our_in
        self._unread = b""

    def put(self, question: dict[str, Any]) -> None:
        self.asked = question
        with contextlib.suppress(BrokenPipeError):
            _write_all(self._out, json.dumps(question).encode() + b"\n")

    def answer(
        self, timeout: float, on_progress: Progress | None = None
    ) -> tuple[dict[str, Any] | None, str]:
        """(answer, log): None for no answer in time, {"died": how} when the process ended."""
        deadline = time.monotonic() + timeout
        while True:
            answer, log = self.read(deadline - time.monotonic())
            if answer is None or "progress" not in answer:
                self.asked = None
                return answer, log
            if on_progress:
                on_progress(*answer["progress"])

    def read(self, timeout: float) -> tuple[dict[str, Any] | None, str]:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._in], [], [], left)[0]
            if not ready:
                self._kill()
                return None, self._output()
            some = os.read(self._in, 1 << 16)
            if not some:
                return {"died": self._how_it_ended()}, self._output()
            self._unread += some
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line), self._output()

    def close(self) -> None:
        """Let it end by itself, then kill what is left of its process group."""
        if self._log.closed:
            return
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._kill()
        self._log.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(2)
        except subprocess.TimeoutExpired:
            return "it closed the pipe"
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def _output(self) -> str:
        return _tail(self._log)


def via(
    project: Project, question: dict[str, Any], timeout: float
) -> tuple[dict[str, Any] | None, str]:
    """Run the project's own manager with the agent inside; it ends at its first configure().

    The agent gets in by a `sitecustomize` on PYTHONPATH, which Python imports at every start
    (Python documentation, module `site`).
    """
    with tempfile.TemporaryDirectory(prefix="migdoctor-via-") as folder:
        asked, answered = Path(folder, "question.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(question), encoding="utf-8")
        inside = Path(folder, "path")
        inside.mkdir()
        text = _SITECUSTOMIZE.format(
            here=str(inside), agent=str(_AGENT), question=str(asked), answer=str(answered)
        )
        Path(inside, "sitecustomize.py").write_text(text, encoding="utf-8")
        status, log = _run_manager(project, inside, timeout)
        if answered.exists():
            return json.loads(answered.read_text(encoding="utf-8")), log
        return (None if status is None else {"died": f"exit status {status}"}), log


def _run_manager(project: Project, inside: Path, timeout: float) -> tuple[int | None, str]:
    """(exit status, output); None when the time was up."""
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(inside), env.get("PYTHONPATH"))))
    env["PATH"] = os.pathsep.join((str(project.python.parent), env.get("PATH", os.defpath)))
    command = shlex.split(project.via or "")
    with tempfile.TemporaryFile("a+b") as log:
        try:
            process = subprocess.Popen(
                command,
                cwd=project.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            text = f"the command of --via cannot be run: {error.strerror}"
            raise AgentFailed(text, kind="environment") from None
        try:
            status: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return status, _tail(log)


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 16_384))
    text = log.read().decode("utf-8", "replace")
    log.seek(0, os.SEEK_END)
    return text


def _write_all(fd: int, text: bytes) -> None:
    while text:
        text = text[os.write(fd, text) :]
