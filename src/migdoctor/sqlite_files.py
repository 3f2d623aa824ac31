"""What must be known about a SQLite file before the library opens it.

POSIX drops all locks that a process has on a file when it closes any descriptor of that file
(SQLite manual, "How To Corrupt An SQLite Database File", 2.2). So a descriptor opened here stays
open for as long as this process has a session on the same file.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from migdoctor.errors import CannotConnect

_Inode = tuple[int, int]
_sessions: dict[_Inode, int] = {}
_parked: dict[_Inode, list[int]] = {}

SIDE_FILES = ("-journal", "-wal", "-shm")


def demand(path: Path) -> None:
    """Raise CannotConnect unless there is a file that could be a database; creates nothing."""
    if path.is_dir():
        raise CannotConnect(f"{path} is a directory.", "Name the database file inside it.")
    try:
        exists = path.exists()
    except OSError as error:
        raise CannotConnect(f"{path} cannot be reached: {error.strerror}.", "Check it.") from None
    if not exists:
        raise CannotConnect(
            f"There is no file {path}; nothing was created.",
            "Check the path: a relative one is resolved against the project's folder.",
        )
    if not os.access(path, os.R_OK):
        raise CannotConnect(f"{path} may not be read by this user.", "Check the file's rights.")


def in_use(path: Path) -> Callable[[], None]:
    """Note that this process has the file open in SQLite; call the result when it is closed."""
    status = path.stat()
    inode = (status.st_dev, status.st_ino)
    _sessions[inode] = _sessions.get(inode, 0) + 1

    def closed() -> None:
        _sessions[inode] -= 1
        if not _sessions[inode]:
            del _sessions[inode]
            for descriptor in _parked.pop(inode, []):
                os.close(descriptor)

    return closed


@contextlib.contextmanager
def descriptor_of(path: Path) -> Iterator[int]:
    """A descriptor for looking at a file, closed only when that cannot drop a lock of ours."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        status = os.fstat(descriptor)
        inode = (status.st_dev, status.st_ino)
        if inode in _sessions:
            _parked.setdefault(inode, []).append(descriptor)
        else:
            os.close(descriptor)


def is_wal(path: Path) -> bool:
    """Whether the header says write-ahead log (file format, bytes 18 and 19)."""
    with descriptor_of(path) as descriptor:
        return os.pread(descriptor, 2, 18) == b"\x02\x02"


def beside(path: Path, suffix: str) -> Path:
    """The side file of a database: -journal, -wal or -shm."""
    return path.with_name(path.name + suffix)


def private_reason(path: Path) -> str | None:
    """Why the file must be read through a copy: opening it would leave files beside it.

    A read-only open of a database in WAL mode creates -wal and -shm and does not remove them.
    """
    if is_wal(path) and not all(beside(path, s).exists() for s in ("-wal", "-shm")):
        return "opening a file in WAL mode would leave files beside it"
    return None


def needs_recovery(problem: tuple[str, str] | None) -> bool:
    """Whether a read-only open failed on work that only a writer may do (hot journal)."""
    return problem is not None and problem[0] in (
        "SQLITE_READONLY_ROLLBACK",
        "SQLITE_READONLY_RECOVERY",
        "SQLITE_READONLY_CANTINIT",
        "SQLITE_READONLY_CANTLOCK",
    )


def private_copy(path: Path) -> tuple[Path, Callable[[], None]]:
    """A copy with its journal and log in a new folder of mode 0700, and how to remove it.

    The -shm file stays behind: SQLite rebuilds it from the log.
    """
    folder = Path(tempfile.mkdtemp(prefix="migdoctor-copy-"))

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)

    copy = folder / path.name
    try:
        for suffix in ("-journal", "-wal", ""):
            if suffix and not beside(path, suffix).exists():
                continue
            with (
                descriptor_of(beside(path, suffix)) as source,
                beside(copy, suffix).open("wb") as target,
            ):
                _pour(source, target.fileno())
    except OSError as error:
        remove()
        raise CannotConnect(
            f"{path} needs a private copy to be read, and that failed: {error.strerror}.",
            "Make room in the temporary folder, or set TMPDIR.",
        ) from None
    return copy, remove


def _pour(source: int, target: int) -> None:
    os.lseek(source, 0, os.SEEK_SET)
    while chunk := os.read(source, 1 << 20):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
