"""Which process holds a SQLite file locked, asked of the kernel; no lock is taken.

SQLite locks single bytes of the file (file format manual, "lock-byte page"; in WAL mode bytes of
the -shm file, WAL-index manual section 2.3.1). fcntl(F_GETLK) names the process that would stop
us. It must happen before SQLite opens the file in this process.
"""

import fcntl
import os
import re
import struct
import sys
from pathlib import Path

from migdoctor.errors import NotObserved
from migdoctor.facts import Activity, Session
from migdoctor.sqlite_files import beside, demand, descriptor_of, is_wal

_PENDING, _RESERVED, _SHARED, _SHARED_SIZE = 0x40000000, 0x40000001, 0x40000002, 510
_WAL_WRITE, _WAL_CHECKPOINT = 120, 121
_MIGRATION_TOOLS = ("alembic", "migdoctor")

# (first byte, bytes, kind of lock that would be refused, what a holder is doing)
_JOURNAL_BYTES = (
    (_SHARED, _SHARED_SIZE, fcntl.F_RDLCK, "holds the EXCLUSIVE lock: it writes into the file"),
    (_PENDING, 1, fcntl.F_RDLCK, "holds the PENDING lock: it waits for readers to leave"),
    (_RESERVED, 1, fcntl.F_RDLCK, "holds the RESERVED lock: it has a write transaction open"),
)
_WAL_BYTES = (
    (_WAL_WRITE, 1, fcntl.F_RDLCK, "holds the write lock of the log: a write transaction is open"),
    (_WAL_CHECKPOINT, 1, fcntl.F_RDLCK, "holds the checkpoint lock of the log"),
)


def probe(path: Path) -> Activity:
    """Who writes to the file now. CannotConnect where there is none, NotObserved where blind."""
    demand(path)
    try:
        locks = _locks(path)
    except OSError as error:
        raise NotObserved("activity", f"the locks of {path} cannot be read: {error}") from None
    if not locks:
        return Activity()
    sessions = tuple(_session(pid, doing) for pid, doing in locks.items())
    pid, doing = next(iter(locks.items()))
    return Activity(
        sessions=sessions,
        write_locked=f"process {pid} ({sessions[0].query or 'command unknown'}) {doing}",
    )


def _locks(path: Path) -> dict[int, str]:
    """Process -> what it holds, the strongest lock first."""
    found: dict[int, str] = {}
    shm = beside(path, "-shm")
    places: list[tuple[Path, tuple[tuple[int, int, int, str], ...]]] = [(path, _JOURNAL_BYTES)]
    if is_wal(path) and shm.exists():
        places.append((shm, _WAL_BYTES))
    for place, locks in places:
        with descriptor_of(place) as descriptor:
            for start, size, kind, doing in locks:
                holder = _holder(descriptor, start, size, kind)
                if holder is not None:
                    found.setdefault(holder, doing)
    return found


def _holder(descriptor: int, start: int, size: int, kind: int) -> int | None:
    """The process whose lock would stop ours; None where none would. Ours never counts."""
    if sys.platform == "darwin":
        layout = "qqihh"  # struct flock: start, length, pid, type, whence
        given = struct.pack(layout, start, size, 0, kind, os.SEEK_SET)
        _, _, pid, blocker, _ = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, given))
    else:
        layout = "hhqqi4x"  # struct flock of Linux: type, whence, start, length, pid
        given = struct.pack(layout, kind, os.SEEK_SET, start, size, 0)
        blocker, _, _, _, pid = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, given))
    return None if blocker == fcntl.F_UNLCK else pid


def _session(pid: int, doing: str) -> Session:
    command = _command(pid)
    tool = _tool(command)
    return Session(
        pid=pid,
        application=Path(command.split(" ")[0]).name if command else "",
        user="",
        client="local",
        state="writing",
        query=command,
        seconds=None,
        holds=(doing,),
        migrating=f"it {doing}, and its command line names {tool}" if tool else None,
    )


def _command(pid: int) -> str:
    """The command line of a process, "" where it cannot be seen (another container, no /proc)."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes() if pid > 0 else b""
    except OSError:
        return ""
    text = raw.replace(b"\0", b" ").decode(errors="replace").strip()
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)


def _tool(command: str) -> str | None:
    """The migration tool that a command line runs: a program's own name, never part of a path."""
    words = [Path(word).name for word in command.split()[:5]]  # interpreter, options, program
    if "flask" in words and "db" in words:
        return "flask db"
    return next((name for name in _MIGRATION_TOOLS if name in words), None)
