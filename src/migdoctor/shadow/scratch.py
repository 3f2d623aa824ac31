"""Private temporary folders that disappear even when this process is killed."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_WATCHDOG = 'read -r _; rm -rf "$1"'


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder of mode 0700; a shell waits for the end of this process to remove it."""
    path = Path(tempfile.mkdtemp(prefix="migdoctor-scratch-"))
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "sh", path], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        assert watchdog.stdin is not None
        watchdog.stdin.close()
        watchdog.wait(10)
