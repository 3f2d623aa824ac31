"""Version locations in, `History` out: every revision file read, none imported.

The same files as alembic takes, in the same order (`Script._list_py_dir`, `Script._from_path`,
`ScriptDirectory._load_revisions`), but one that cannot be read is a fact, not the end.
"""

import errno
import gc
import os
import re
import stat
import struct
import sys
import warnings
from pathlib import Path

from migdoctor.graph import Broken, Bytecode, History, Revision
from migdoctor.observe.revision_file import parse

_SOURCE = re.compile(r"(?!\.\#|__init__)(.*\.py)$")
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_BATCH = 512  # files are read, then parsed: each is faster when it is not between the other
_COMPILED = re.compile(r"(?!\.\#|__init__)(.*\.py)c$")


def read(locations: tuple[Path, ...], recursive: bool, sourceless: bool) -> History:
    """Read all revision files below `locations`. Raises nothing: whatever fails is in `broken`.

    `recursive` and `sourceless` are alembic's `recursive_version_locations` and `sourceless`.
    """
    reader = _Reader(sourceless)
    collecting = gc.isenabled()
    gc.disable()  # nothing here is cyclic, and all of it is kept: a tenth of the time
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the compiler about the project's own code
            for location in locations:
                reader.location(location, recursive)
    finally:
        if collecting:
            gc.enable()
    return History(
        revisions=tuple(reader.revisions),
        broken=tuple(reader.broken),
        bytecode=tuple(reader.bytecode),
        loaded_twice=tuple(reader.twice),
        absent=tuple(reader.absent),
    )


class _Reader:
    """Collects what `read` returns."""

    def __init__(self, sourceless: bool) -> None:
        self.sourceless = sourceless
        self.revisions: list[Revision] = []
        self.broken: list[Broken] = []
        self.bytecode: list[Bytecode] = []
        self.twice: list[tuple[Path, Path]] = []
        self.absent: list[Path] = []
        self.seen: dict[str, Path] = {}
        self.caches: dict[str, _Cache] = {}
        self.waiting: list[tuple[bytes, Path, bool] | Broken] = []  # read and not yet parsed

    def location(self, location: Path, recursive: bool) -> None:
        folders = [str(location)]
        if not os.path.lexists(location):
            self.absent.append(location)
            folders = []
        while folders:
            below = self._folder(folders.pop())
            if recursive:
                folders += [f for f in reversed(below) if not f.endswith("__pycache__")]

    def _folder(self, folder: str) -> list[str]:
        """Read the files of one folder; returns its sub-folders in order."""
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable(Path(folder), error)
            self._parse()
            return []
        real, below, names = os.path.realpath(folder), [], []
        cache, here = self._cache(folder), Path(folder)
        for entry in entries:
            name = entry.name
            if entry.is_symlink():
                if not _is_folder(entry):
                    names.append(name)
                    self._link(entry.path)
            elif entry.is_dir():
                below.append(entry.path)
            else:
                names.append(name)
                if _SOURCE.match(name):
                    self._source(here / name, f"{real}/{name}", folder, cache.get(name))
        self._parse()
        self._orphans(folder, set(names))
        return below

    def _link(self, shown: str) -> None:
        """A linked file counts under the name of what it leads to, as in alembic."""
        target = os.path.realpath(shown)
        folder, _, name = target.rpartition("/")
        if not _SOURCE.match(name):
            return
        if target in self.seen:
            self.twice.append((self.seen[target], Path(shown)))
        else:
            self._source(Path(target), target, folder, self._cache(folder).get(name))

    def _source(self, path: Path, real: str, folder: str, cached: str | None) -> None:
        """Read one file; `real` is its true place and `cached` the name of its bytecode."""
        if (first := self.seen.setdefault(real, path)) is not path:
            self.twice.append((first, path))
            return
        try:
            data, status = _bytes(real)
        except OSError as error:
            self._unreadable(path, error)
            return
        compiled = cached is not None and _compiled_from(f"{folder}/__pycache__/{cached}", status)
        self.waiting.append((data, path, compiled))
        if len(self.waiting) >= _BATCH:
            self._parse()

    def _parse(self) -> None:
        """What was read becomes revisions and trouble, in the order in which it was read."""
        for read in self.waiting:
            revision, broken = (None, read) if isinstance(read, Broken) else parse(*read)
            if revision is not None:
                self.revisions.append(revision)
            if broken is not None:
                self.broken.append(broken)
        self.waiting.clear()

    def _unreadable(self, path: Path, error: OSError) -> None:
        text = f"it cannot be read: {error.strerror or error}"
        self.waiting.append(Broken(path=path, line=None, kind="unreadable", text=text))

    # --- bytecode

    def _cache(self, folder: str) -> "_Cache":
        """Source name -> name of its .pyc in `__pycache__`, of our own Python if there is one."""
        if folder not in self.caches:
            try:
                with os.scandir(f"{folder}/__pycache__") as found:
                    names = sorted(entry.name for entry in found)
            except OSError:
                names = []
            ours, cache = f".{sys.implementation.cache_tag}.pyc", _Cache()
            for name in names:
                if name.endswith(ours):
                    cache[name.removesuffix(ours) + ".py"] = name
                elif name.endswith(".pyc"):
                    cache.setdefault(_source_of(name), name)
            self.caches[folder] = cache
        return self.caches[folder]

    def _orphans(self, folder: str, names: set[str]) -> None:
        """Bytecode without a source; with `sourceless` alembic loads it.

        Of `__pycache__` it then takes files whose name up to the first dot no source shares.
        """
        for name in sorted(n for n in names if n.endswith(".pyc") and n[:-1] not in names):
            if _COMPILED.match(name):
                self._orphan(Path(folder, name), self.sourceless)
        lone = {s: name for s, name in self._cache(folder).items() if s not in names}
        stems = {name.partition(".")[0] for name in names} if lone else set()
        for source, name in lone.items():
            if _COMPILED.match(f"{source}c"):
                fits = name.partition(".")[0] not in stems
                self._orphan(Path(folder, "__pycache__", name), self.sourceless and fits)

    def _orphan(self, path: Path, loaded: bool) -> None:
        from migdoctor.observe import bytecode  # rarely needed

        try:
            found, revision = bytecode.look(path, loaded)
        except OSError as error:
            if loaded:
                self._unreadable(path, error)
                self._parse()
            return
        self.bytecode.append(found)
        if loaded and revision is not None:
            self.revisions.append(revision)
        elif loaded:
            text = "it is bytecode that only the Python which made it can read"
            self.broken.append(Broken(path=path, line=None, kind="dynamic", text=text, id=found.id))


_Cache = dict[str, str]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _source_of(name: str) -> str:
    """`a.b.cpython-311.opt-1.pyc` -> `a.b.py`."""
    return name.removesuffix(".pyc").partition(".opt-")[0].rpartition(".")[0] + ".py"


def _bytes(path: str) -> tuple[bytes, os.stat_result]:
    """Content and status of a regular file; a pipe or device is refused, never waited for."""
    opened = os.open(path, _FLAGS)
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = os.read(opened, status.st_size + 1)
        while more := os.read(opened, 1 << 20) if len(data) < status.st_size else b"":
            data += more
        return data, status
    finally:
        os.close(opened)


def _compiled_from(cached: str, source: os.stat_result) -> bool:
    """Python has compiled this very source: the .pyc carries its time and size (PEP 552).

    That is also all that Python asks before it takes the .pyc in place of the source.
    """
    try:
        opened = os.open(cached, _FLAGS)
        try:
            header = os.read(opened, 16)
        finally:
            os.close(opened)
    except OSError:
        return False
    when, size = int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF
    return header[2:] == struct.pack("<2s4xII", b"\r\n", when, size)
