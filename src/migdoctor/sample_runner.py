"""Runs alembic for the samples: a process that has alembic loaded forks one child per command.

Every child is a fresh process (env.py is really executed, a SIGKILL really kills), but does not
pay half a second for imports. Requests are JSON lines on stdin: argv, cwd, env, log,
kill_before; the answer is the exit status (negative: the signal) on one line.
"""

import json
import os
import re
import signal
import sys
import traceback
from typing import Any

import alembic.config
from sqlalchemy import event
from sqlalchemy.engine import Engine


def serve() -> None:
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(request)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _child(request: dict[str, Any]) -> None:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    if request["kill_before"]:
        _die_before(re.compile(request["kill_before"], re.IGNORECASE))
    status = 0
    try:
        alembic.config.main(argv=request["argv"], prog="alembic")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # whatever the project's code raises must end in this child
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 0xFF)


def _die_before(pattern: re.Pattern[str]) -> None:
    """Kill this process right before the first statement that matches is sent."""

    def look(*args: Any) -> None:
        if pattern.search(args[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", look)


if __name__ == "__main__":
    serve()
