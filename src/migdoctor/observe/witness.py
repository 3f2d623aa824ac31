"""What git, installed packages and orphan bytecode know of revisions and their files.

Read-only: see `observe.git`. Files are found by the id that stands in them, never by their name.
"""

import hashlib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Lost, Sighting, Sound, Version
from migdoctor.graph import Broken, History, Revision
from migdoctor.observe.git import NoRepository, Repository, State
from migdoctor.observe.revision_file import parse

SITES = ("lib*/python3*/site-packages", "lib*/python3*/dist-packages", "Lib/site-packages")


class Witness:
    """One look around one project; what it has read is kept for the next question.

    `python` is the project's interpreter, whose installed packages are searched as well.
    """

    def __init__(
        self, history: History, locations: Sequence[Path], root: Path, python: Path | None = None
    ) -> None:
        self.history, self.locations, self.root = history, tuple(locations), root
        self.git = Repository(root, locations)
        self.packages = _Packages(python, {"versions", *(folder.name for folder in locations)})

    def look(self, ids: Iterable[str]) -> Mapping[str, Sighting]:
        """Where each of `ids` was seen; an id that nobody has seen is not in the answer.

        NotObserved with the reason when nothing was seen and git could not be asked.
        """
        wanted = tuple(ids)
        found = {}
        for id in wanted:
            seen = self._in_files(id) or self._in_bytecode(id)
            if seen is not None:
                found[id] = seen
        if wanted and not found and self.git.blind:
            raise NotObserved("sightings", self.git.blind)
        return found

    # --- files

    def _in_files(self, id: str) -> Sighting | None:
        first = self._find(id)
        if first is None:
            return None
        chain, down = [id], first.revision.down
        while down and chain[-1] not in self.history.by_id:
            parent = next((p for p in down if p in self.history.by_id), down[0])
            above = None if parent in self.history.by_id or parent in chain else self._find(parent)
            chain.append(parent)
            down = above.revision.down if above else ()
        files, missing = self._gathered(first)
        return Sighting(
            id=id,
            source="git" if isinstance(first.source, State) else "package",
            where=self._where(first.source),
            path=first.path,
            leads_to=tuple(chain[1:]) if chain[-1] in self.history.by_id else (),
            when=first.source.when if isinstance(first.source, State) else "",
            files=files,
            missing=missing,
        )

    def _where(self, source: "State | str") -> str:
        return self.git.where(source) if isinstance(source, State) else source

    def _gathered(self, first: "_File") -> tuple[tuple[Lost, ...], tuple[str, ...]]:
        """The lost files from one down to the ids of this checkout, and the ids without any."""
        files, missing = {first.revision.id: first}, list[str]()
        todo = [first.revision]
        while todo:
            revision = todo.pop()
            for name in (*revision.down, *revision.depends_on):
                if name in files or name in missing or self.history.dependency(name):
                    continue
                if (found := self._find(name)) is None:
                    missing.append(name)
                else:
                    files[name] = found
                    todo.append(found.revision)
        lost = tuple(
            Lost(id=id, to=f.to, text=f.data.decode("utf-8", "surrogateescape"))
            for id, f in files.items()
        )
        return lost, tuple(missing)

    def _find(self, id: str) -> "_File | None":
        """The newest version of the file that holds the revision or branch label, wherever."""
        return self._in_git(id) or self._installed(id)

    def _in_git(self, id: str) -> "_File | None":
        mark = id.encode("utf-8", "surrogateescape")
        for states in self.git.passes():
            for state in states:
                data = self.git.content(state)
                if data is None or mark not in data:
                    continue
                revision = _parsed(data, state.path)
                if revision is not None and id in (revision.id, *revision.labels):
                    return _File(revision, data, state, state.path, self._place(state))
        return None

    def _place(self, state: State) -> Path:
        """Where the file was, if that is in a version location of today, else the first one."""
        was = self.git.top.resolve() / state.path
        for folder in self.locations:
            if was.parent == folder.resolve():
                return folder / was.name
        return self.locations[0] / was.name

    def _installed(self, id: str) -> "_File | None":
        """From a package that has files of this very history as well: ids repeat in the world."""
        mark = id.encode("utf-8", "surrogateescape")
        for package, path, data in self.packages.files:
            if mark not in data or path.parent not in self._kindred:
                continue
            revision = _parsed(data, str(path))
            if revision is not None and id in (revision.id, *revision.labels):
                return _File(revision, data, package, str(path), self.locations[0] / path.name)
        return None

    @cached_property
    def _kindred(self) -> frozenset[Path]:
        """Folders of packages that hold a file which is here too, byte for byte."""
        mine = {r.sha for r in self.history.revisions}
        return frozenset(
            path.parent
            for _package, path, data in self.packages.files
            if hashlib.sha256(data).hexdigest() in mine
        )

    # --- bytecode

    def _in_bytecode(self, id: str) -> Sighting | None:
        code = next((b for b in self.history.bytecode if b.id == id), None)
        if code is None:
            return None
        inside = code.path.is_relative_to(self.root)
        local = next((p for p in code.down if p in self.history.by_id), None)
        return Sighting(
            id=id,
            source="bytecode",
            where="compiled code whose source is gone",
            path=str(code.path.relative_to(self.root) if inside else code.path),
            leads_to=(local,) if local else (),
        )

    # --- the past of files that are here

    def versions(self, ids: Iterable[str]) -> Mapping[str, tuple[Version, ...]]:
        """What the files of `ids` have been on this branch, oldest first, one per change.

        A file is known by its id, so that a new name is no change. NotApplicable without git, and
        in a shallow clone, where the first version that is known need not be the first.
        """
        wanted, mine = set(ids), {r.sha: r for r in self.history.revisions}
        found: dict[str, list[Version]] = {}
        if not wanted:
            return {}
        try:
            top, states = self.git.top, self.git.mainline
        except NoRepository as reason:  # without a past there is nothing to compare with
            raise NotApplicable("versions", reason.why) from reason
        if self.git.shallow:
            raise NotApplicable("versions", "this is a shallow clone")
        for state in reversed(states):
            data = None if state.gone else self.git.content(state)
            if data is None:
                continue
            sha = hashlib.sha256(data).hexdigest()
            revision = mine.get(sha) or _parsed(data, state.path)
            if revision is None or revision.id not in wanted:
                continue
            past = found.setdefault(revision.id, [])
            if any(v.sha == sha and v.path.name == Path(state.path).name for v in past):
                continue
            past.append(
                Version(
                    path=top / state.path,
                    down=revision.down,
                    commit=state.commit,
                    when=state.when,
                    text=data.decode("utf-8", "surrogateescape"),
                )
            )
        return {id: tuple(past) for id, past in found.items()}

    # --- files that are here and cannot be loaded

    def sound(self, texts: Mapping[Path, str]) -> Mapping[Path, Sound]:
        """The newest version that can be loaded of every broken file that git has one of.

        This branch is asked first. `texts` are the files as they are now; of a file without a text
        nothing is said. NotObserved as in `look`.
        """
        found = {}
        sick = [b for b in self.history.broken if b.kind != "dynamic" and b.path in texts]
        for broken in sick:
            now = texts[broken.path].encode("utf-8", "surrogateescape")
            if (was := self._sound(broken, now)) is not None:
                found[broken.path] = was
        if sick and not found and self.git.blind:
            raise NotObserved("sound", self.git.blind)
        return found

    def _sound(self, broken: Broken, now: bytes) -> Sound | None:
        top, real = self.git.top.resolve(), broken.path.resolve()
        path = real.relative_to(top).as_posix() if real.is_relative_to(top) else ""
        mark, kept = (broken.id or "").encode("utf-8", "surrogateescape"), False
        for here, states in self._branch_first():
            kept = kept or any(self.git.content(s) == now for s in states if s.path == path)
            for state in states:
                data = self.git.content(state)
                if data is None or not (state.path == path or (mark and mark in data)):
                    continue
                revision = _parsed(data, state.path, whole=True)
                if revision is None or revision.id != (broken.id or revision.id):
                    continue
                day = f"commit {state.commit}, {state.when}"
                return Sound(
                    id=revision.id,
                    down=revision.down,
                    text=data.decode("utf-8", "surrogateescape"),
                    where=day if here else self.git.where(state),
                    here=here,
                    kept=kept,
                )
        return None

    def _branch_first(self) -> Iterator[tuple[bool, tuple[State, ...]]]:
        """(on this branch, states): its own line, then whatever else git knows."""
        yield True, self.git.mainline
        yield from ((False, states) for states in self.git.passes())


class _File(NamedTuple):
    revision: Revision
    data: bytes
    source: State | str  # the state in git, or the package
    path: str
    to: Path


class _Packages:
    """The revision files that installed packages say (in RECORD) they have brought along."""

    def __init__(self, python: Path | None, folders: set[str]) -> None:
        self._prefix = python.absolute().parent.parent if python else None
        names = b"|".join(re.escape(name.encode()) for name in sorted(folders))
        self._line = re.compile(rb"^([^,\n]*/(?:" + names + rb")/[^,/\n]+\.py),", re.MULTILINE)

    @cached_property
    def files(self) -> tuple[tuple[str, Path, bytes], ...]:
        """(package, path, content) of each, in order of packages."""
        return tuple(self._read())

    def _read(self) -> Iterator[tuple[str, Path, bytes]]:
        sites = [s for pattern in SITES for s in (self._prefix or Path("/dev/null")).glob(pattern)]
        for site in dict.fromkeys(site.resolve() for site in sites):
            for record in sorted(site.glob("*.dist-info/RECORD")):
                if record.parent.name.startswith("migdoctor-"):
                    continue  # its samples are sick on purpose
                package = record.parent.name.removesuffix(".dist-info").replace("-", " ")
                for name in self._line.findall(_bytes(record)):
                    path = site / name.decode("utf-8", "surrogateescape")
                    yield f"the installed package {package}", path, _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parsed(data: bytes, path: str, whole: bool = False) -> Revision | None:
    """The revision in a file; with `whole` only if alembic could load that file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's, about the project's own code
        revision, trouble = parse(data, Path(path), compiled=not whole)
    return None if whole and trouble else revision
