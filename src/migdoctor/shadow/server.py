"""A private PostgreSQL server that lives as long as this process, and no longer.

It listens on a unix socket in a folder that only its account may enter, keeps nothing durable,
and is stopped and removed at exit; when this process is killed, a watchdog does it.
"""

import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from migdoctor.connect import Session, address_of, open_writing
from migdoctor.errors import NotObserved
from migdoctor.shadow import binaries

_PREFIX = "migdoctor-pg-"
_MEMORY = "/dev/shm"
_NOEXEC = 8  # MS_NOEXEC of mount(2); the os module has the name on Linux only
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_locks_per_transaction": "2048",  # a schema of thousands of tables in one transaction
    "log_min_messages": "error",
}
# Waits for the pipe to break, then stops the server whose pid file it finds and removes the folder.
_WATCHDOG = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
[ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null
i=0
while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $i -lt 50 ]; do
  sleep 0.1; i=$((i+1))
done
rm -rf "$1"
"""
_lock = threading.Lock()
_running: "Server | None" = None


class Server:
    """A running server. `version` is its major version, `admin_url` leads to database postgres."""

    def __init__(self, folder: Path, programs: binaries.Binaries, who: binaries.Account | None):
        self.folder, self.version = folder, programs.major
        self._programs, self._who, self._pid = programs, who, os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The SQLAlchemy URL of one database of this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder / 's'}&port=5432"

    @property
    def programs(self) -> binaries.Binaries:
        """The programs that it was made of, where they can be run."""
        return self._programs

    def bin(self, name: str) -> Path:
        """The path of one of the server's programs (pg_dump, psql...)."""
        return self._programs.folder / name

    def admin(self) -> Session:
        """A writing session on database postgres."""
        return open_writing(address_of(self.admin_url))

    def create(self, prefix: str) -> str:
        """Make an empty database with a fresh name; its URL."""
        name = f"{prefix}_{secrets.token_hex(4)}"
        with self.admin() as session:
            session.run(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Remove a database, by name or URL, whoever is connected to it."""
        if "://" in name:
            name = name.split("/@/" if "/@/" in name else "@/")[-1].split("?")[0]
        with self.admin() as session:
            session.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def start(self) -> None:
        """Make the data directory and start serving; raises NotObserved when that fails."""
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "sh", self.folder], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        )  # fmt: skip
        data = str(self.folder / "data")
        self._run_initdb(data)
        settings = dict(_SETTINGS)
        if self.version >= 18:
            settings["io_method"] = "sync"
        options = [part for k, v in settings.items() for part in ("-c", f"{k}={v}")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.bin("postgres"), "-D", data, "-k", str(self.folder / "s"), "-p", "5432",
                 *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                **self._as_account(),
            )  # fmt: skip
        self._await_ready(time.monotonic() + 60)

    def _run_initdb(self, data: str) -> None:
        brief = ["--no-instructions"] if self.version >= 14 else []
        made = subprocess.run(
            [self.bin("initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
             "--no-locale", "--no-sync", "--wal-segsize=1", *brief],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, **self._as_account(),
        )  # fmt: skip
        if made.returncode:
            raise NotObserved("shadow", f"initdb failed: {made.stderr.strip()[-300:]}")

    def _as_account(self) -> dict[str, Any]:
        clean = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        where: dict[str, Any] = {"cwd": self.folder, "env": clean}
        if self._who is not None:
            where |= {"user": self._who.uid, "group": self._who.gid, "extra_groups": []}
        return where

    def _await_ready(self, deadline: float) -> None:
        assert self._process is not None
        status = self.folder / "data" / "postmaster.pid"
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, IndexError):
                # The eighth line is the state (src/include/utils/pidfile.h).
                if status.read_text().splitlines()[7].strip() == "ready":
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        log = (self.folder / "log").read_text(errors="replace").strip()
        raise NotObserved("shadow", f"the private server did not start: {log[-300:]}")

    def stop(self) -> None:
        """Stop the server and remove its folder; may be called twice, does nothing in a fork."""
        if os.getpid() != self._pid:
            return
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._watchdog is not None:
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait(10)
            self._watchdog = None


def running() -> Server:
    """The server of this process, started when first asked for.

    Raises NotObserved("shadow", why) where no server programs are installed or none starts.
    """
    global _running
    with _lock:
        if _running is None or _running._pid != os.getpid():
            _running = _newest()
        return _running


def _newest() -> Server:
    programs = binaries.newest()
    if programs is None:
        raise NotObserved(
            "shadow", "no PostgreSQL server programs; install migdoctor[shadow] or use --shadow-url"
        )
    return started(programs)


def started(programs: binaries.Binaries) -> Server:
    """A server made of these programs; NotObserved("shadow", why) when it does not start."""
    who = binaries.account()
    if who is None and os.geteuid() == 0:
        raise NotObserved("shadow", "no unprivileged account to run a private server under")
    in_place = binaries.runs_in_place(programs, who)
    base = _base(who, executable=not in_place)
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    _claim(folder)
    socket = folder / "s"
    socket.mkdir(mode=0o700)
    if who is not None:
        for path in (folder, socket):
            os.chown(path, who.uid, who.gid)
    server = Server(folder, programs, who)
    atexit.register(server.stop)
    try:
        if who is not None and not in_place:
            server._programs = binaries.copied(programs, who, folder / "programs")
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def _base(who: binaries.Account | None, *, executable: bool) -> Path:
    """A temporary folder with a short name that the account can pass through.

    Memory comes first where there is plenty and TMPDIR does not ask otherwise: a schema is
    thousands of small files. Programs cannot be started from there in most containers.
    """
    names = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    if not os.environ.get("TMPDIR") and _roomy(_MEMORY):
        names.insert(0, _MEMORY)
    for name in names:
        place = Path(name).resolve()
        # A socket's path may have 107 bytes (unix(7)); ours adds about 40.
        if len(str(place)) > 60 or not os.access(place, os.W_OK):
            continue
        if executable and os.statvfs(place).f_flag & _NOEXEC:
            continue
        if who is None or all(p.stat().st_mode & stat.S_IXOTH for p in (place, *place.parents)):
            return place
    raise NotObserved("shadow", "no temporary folder that a private server could use")


def _roomy(place: str) -> bool:
    try:
        return shutil.disk_usage(place).free > 1 << 30
    except OSError:
        return False


_claims: dict[Path, int] = {}


def _claim(folder: Path) -> None:
    """Hold a lock in the folder for as long as this process lives."""
    descriptor = os.open(folder / "claim", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    _claims[folder] = descriptor


def _sweep(base: Path) -> None:
    """Remove what a killed process and its killed watchdog left: folders that nobody claims."""
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(folder / "claim", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # of another user, or just being made
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _remove_stale(folder)
        finally:
            os.close(descriptor)


def _remove_stale(folder: Path) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        # The number may belong to another process by now; its command line tells.
        if str(folder) in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)
