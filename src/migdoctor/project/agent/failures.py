"""What went wrong, as plain values."""

from __future__ import annotations

import errno
import socket
import traceback
from typing import Any

from .state import DRIVERS, Failure


def described(error: BaseException, env_py: Any = None) -> dict[str, Any]:
    """A failure as plain values; `line` is the last line of env.py that led there."""
    links = chain(error)
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


def chain(error: BaseException) -> list[BaseException]:
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        link = link.__cause__ or link.__context__
    return seen


def one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return ("%s: %s" % (type(error).__name__, lines[0])).rstrip(": ")[:400]


def needs_network(error: BaseException) -> bool:
    """The failure is the missing network, and not that of a database driver called directly."""
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
    for link in chain(error):
        frames = traceback.extract_tb(link.__traceback__)
        if any("/%s/" % driver in frame.filename for frame in frames for driver in DRIVERS):
            return False
    return any(
        isinstance(link, socket.gaierror) or getattr(link, "errno", None) in unreachable
        for link in chain(error)
    )
