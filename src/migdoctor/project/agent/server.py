"""Questions and answers: the doctor asks by a pipe, or by a file inside another program."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import traced
from .capture import capture, options_of
from .connections import redirection, take_over
from .environment import run_env
from .failures import described
from .state import Failure, State, Stop, leave_with


def models(question: dict[str, Any]) -> dict[str, Any]:
    """Compare the models with the database at an address, or say its indexes; see compare.py."""
    found: list[dict[str, Any]] = []
    wanted = question["context"]
    passed = []

    def hook(environment: Any, _given: Any) -> None:
        passed.append(environment)
        if len(passed) - 1 == wanted:
            found.append(_compared(environment, question))
            raise Stop

    with redirection(question), traced.listening():
        run_env(question["project"], hook)
    if not found:
        raise Failure("no-context", "env.py called context.configure() %d times" % len(passed))
    return found[0]


def _compared(environment: Any, question: dict[str, Any]) -> dict[str, Any]:
    from .compare import compare

    return compare(environment, question)


def merge(question: dict[str, Any]) -> dict[str, Any]:
    """A merge revision, not written; see compare.py."""
    from . import compare

    return compare.merge(question)


def replay(question: dict[str, Any]) -> dict[str, Any]:
    """Run the whole history on the shadow and record it; see replay.py."""
    from .replay import replay

    return replay(question)


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
        traced.start()
        take_over()
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
    traced.start()
    take_over()
    if question["do"] == "replay":
        from . import replay

        replay.inject(question, answer_file)
        return
    if question["do"] in ("models", "indexes"):
        State.target = (question["url"], question["connect_args"], question["read_only"])
        State.kept = traced.listening()
        State.kept.__enter__()

    def hook(environment: Any, given: Any) -> None:
        try:
            if State.target:
                answer = {"ok": _compared(environment, question)}
            else:
                answer = {"ok": {"contexts": [options_of(environment, given, False)], "note": ""}}
        except BaseException as error:
            answer = {"failed": described(error)}
        leave_with(answer, answer_file)

    State.hook = hook


def main() -> None:
    here = Path(__file__).absolute().parent  # its modules must not hide the project's
    sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != here]
    sys.path.append(str(Path.cwd()))  # as `python -m alembic` finds modules, but after all others
    gc.disable()  # models and reflected tables are many objects, and all of them stay
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: do not outlive the doctor
    serve(int(sys.argv[1]), int(sys.argv[2]))
