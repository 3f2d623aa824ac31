"""What the repository around the version folders remembers of their files. Only logs and blobs.

git may take no lock of its own (`GIT_OPTIONAL_LOCKS=0`), fetch nothing and start no program that
the repository's own settings name, so that looking at a stranger's checkout is safe. One question
lists all states of all files, one more reads their contents: the cost does not grow with the
number of ids that are looked for.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from migdoctor.errors import NotObserved

SECONDS = 2.0  # for all questions of one look together
MANY = 20_000  # states; a version folder that has more is none
FORMAT = "%x01%h%x02%S%x02%aI%x02"
NAMES = {"refs/heads/": "branch ", "refs/remotes/": "branch ", "refs/tags/": "tag "}
_SLOW = "git was not done after 2 seconds"
_NOT_OURS = (
    "git refuses a repository of another user; allow it with "
    "`git config --global --add safe.directory FOLDER`"
)
_NOTHING = {
    "not a git repository": "the version folders are in no git repository",
    "must be run in a work tree": "the repository is bare, it has no work tree",
    "bad revision 'HEAD'": "the repository has no commit yet",
    "does not have any commits": "the repository has no commit yet",
}
# Over whatever the repository says of itself.
_SETTINGS = (
    *("core.quotePath=false", "core.fsmonitor=false", "core.hooksPath=/dev/null"),
    *("log.showRoot=true", "log.follow=false", "log.showSignature=false"),
    *("log.diffMerges=separate", "diff.orderFile=/dev/null"),
)
_LOG = (
    *("log", "--source", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-notes", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--no-show-signature", f"--max-count={MANY}"),
    f"--format={FORMAT}",
)


class NoRepository(NotObserved):
    """There is no git here, or nothing in it that could be asked."""


class State(NamedTuple):
    """One file as one commit left it; where `gone`, as it was before that commit deleted it.

    `ref` is the full name of a ref that leads to the commit, '' where none does; `when` is the
    date of its author.
    """

    path: str
    ref: str
    commit: str
    when: str
    blob: str
    gone: bool


class Repository:
    """The repository that the version folders are in.

    Whatever git cannot answer is NotObserved with the reason in one sentence; `blind` is the first
    such reason that `passes` went over.
    """

    def __init__(self, root: Path, locations: Sequence[Path]) -> None:
        folders = [folder.absolute() for folder in locations]
        self._at = next((folder for folder in folders if folder.is_dir()), root)
        self._folders = [folder.resolve() for folder in folders]
        self._until = time.monotonic() + SECONDS
        self._contents: dict[str, bytes] = {}
        self._passed: dict[str, tuple[State, ...]] = {}
        self.blind = ""

    @cached_property
    def _about(self) -> tuple[Path, bool]:
        """The work tree's root, and whether old commits were left out of this clone."""
        answer = self._ask("rev-parse", "--show-toplevel", "--is-shallow-repository")
        top, _, shallow = answer.decode("utf-8", "surrogateescape").partition("\n")
        return Path(top), shallow.strip() == "true"

    @property
    def top(self) -> Path:
        return self._about[0]

    @property
    def shallow(self) -> bool:
        """Old commits were left out of this clone: nobody knows when a file first came."""
        return self._about[1]

    @cached_property
    def _paths(self) -> list[str]:
        """The version folders as git calls them."""
        top = self.top.resolve()
        inside = [f.relative_to(top) for f in self._folders if f.is_relative_to(top)]
        if not inside:
            raise NoRepository("git", "the version folders are outside the repository")
        return [f":(top,literal){folder.as_posix()}" for folder in inside]

    # --- the states of files

    def passes(self) -> Iterator[tuple[State, ...]]:
        """All states in the version folders, newest first; what costs more comes later.

        Named refs, then commits that only a reflog knows, then folders of the same name elsewhere
        (the versions folder was moved), then commits that nothing reaches any more. A pass that
        git could not do is empty, and `blind` says why.
        """
        looks = {
            "named": self._named,
            "reflog": self._reflog,
            "moved": self._moved,
            "unreachable": self._unreachable,
        }
        for name, look in looks.items():
            if name not in self._passed:
                self._passed[name] = self._tried(look)
            yield self._passed[name]

    def _tried(self, look: Callable[[], tuple[State, ...]]) -> tuple[State, ...]:
        try:
            states = look()
            if self.shallow:
                self.blind = self.blind or (
                    "this is a shallow clone; `git fetch --unshallow` brings the rest"
                )
        except NotObserved as reason:
            self.blind = self.blind or reason.why
            return ()
        return states

    def _named(self) -> tuple[State, ...]:
        return self._log(["--all", "--full-history"], self._paths)

    def _reflog(self) -> tuple[State, ...]:
        return self._log(["--reflog", "--full-history"], self._paths)

    def _moved(self) -> tuple[State, ...]:
        names = {folder.name for folder in self._folders}
        paths = [f":(top,glob)**/{name}/*.py" for name in sorted(names)]
        return self._log(["--all", "--full-history"], paths)

    def _unreachable(self) -> tuple[State, ...]:
        """By `fsck`, which reads only; `--lost-found` would write."""
        found = self._ask("fsck", "--unreachable", "--connectivity-only", "--no-progress")
        lost = [w[2] for line in found.splitlines() if (w := line.split())[1:2] == [b"commit"]]
        if not lost:
            return ()
        start = b"\n".join(lost) + b"\n"
        return self._log(["--stdin", "--full-history"], self._paths, start)

    @cached_property
    def mainline(self) -> tuple[State, ...]:
        """The states on the first-parent line of HEAD, newest first.

        Where a branch was merged only its result counts: what a revision was like while it was
        being written says nothing about what was deployed.
        """
        return self._log(["--first-parent", "-m", "HEAD"], self._paths)

    def content(self, state: State) -> bytes | None:
        """The file's bytes in one state; those of a pass are read together."""
        return self._contents.get(state.blob)

    def where(self, state: State) -> str:
        """For people: a ref that has the file today, else the commit that had it last.

        `branch feature (commit 1a2b3c4)`, `branch main (deleted by 1a2b3c4)`.
        """
        ref, commit, gone = state.ref, state.commit, state.gone
        if holder := self._holder(state):
            same = (s for found in self._passed.values() for s in found if s.blob == state.blob)
            commit = next((s.commit for s in same if not s.gone), commit)
            ref, gone = holder, False
        known = "the reflog" if state in self._passed.get("reflog", ()) else "no branch any more"
        name = "a stash" if ref == "refs/stash" else ref or known
        for prefix, kind in NAMES.items():
            if ref.startswith(prefix):
                name = kind + ref.removeprefix(prefix)
        return f"{name} ({'deleted by' if gone else 'commit'} {commit})"

    def _holder(self, state: State) -> str:
        """The first ref (branches, remote ones, a stash, tags) whose newest commit has the file.

        '' where none has, or where git has no time left to say so.
        """
        try:
            return self._first_ref(state)
        except NotObserved:
            return ""

    def _first_ref(self, state: State) -> str:
        if "\n" in state.path:
            return ""
        told = self._ask("for-each-ref", "--format=%(refname)", f"--count={MANY}").split()
        names = [name for name in told if not name.endswith(b"/HEAD")]
        path = state.path.encode("utf-8", "surrogateescape")
        wanted = b"".join(name + b":" + path + b"\n" for name in names)
        found = self._ask("cat-file", "--batch-check=%(objectname)", start=wanted).splitlines()
        blob = state.blob.encode()
        for name, answer in zip(names, found, strict=False):
            if answer == blob:
                return name.decode("utf-8", "surrogateescape")
        return ""

    # --- questions

    def _log(
        self, which: Sequence[str], paths: Sequence[str], start: bytes = b""
    ) -> tuple[State, ...]:
        told = self._ask(*_LOG, *which, "--", *paths, start=start)
        states = tuple(_states(told.decode("utf-8", "surrogateescape")))[:MANY]
        self._read({s.blob for s in states} - self._contents.keys())
        return states

    def _read(self, blobs: set[str]) -> None:
        """Keep the contents of blobs; one that is not there (a partial clone) has none."""
        if not blobs:
            return
        wanted = "\n".join(sorted(blobs)).encode() + b"\n"
        told, at = self._ask("cat-file", "--batch", start=wanted), 0
        while at < len(told):
            end = told.index(b"\n", at)
            blob, *rest = told[at:end].decode().split(" ")
            at = end + 1
            if len(rest) == 2:
                size = int(rest[1])
                self._contents[blob] = told[at : at + size]
                at += size + 1

    def _ask(self, *question: str, start: bytes = b"") -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            raise NotObserved("git", _SLOW)
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        command = ["git", "--no-pager", *settings, "-C", str(self._at), *question]
        try:
            done = subprocess.run(
                command, input=start, capture_output=True, timeout=left, env=_env(), check=False
            )
        except subprocess.TimeoutExpired as late:
            raise NotObserved("git", _SLOW) from late
        except OSError as error:
            raise NoRepository("git", f"git cannot be run here: {error.strerror}") from error
        if done.returncode != 0:
            raise _failed(done.stderr.decode("utf-8", "replace"))
        return done.stdout


def _env() -> Mapping[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return env | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",  # git 2.44 and newer
        "GIT_ALLOW_PROTOCOL": "none",  # older ones have no way to fetch by
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _failed(said: str) -> NotObserved:
    """The reason for people, from git's own words."""
    for words, why in _NOTHING.items():
        if words in said:
            return NoRepository("git", why)
    if "dubious ownership" in said:
        return NotObserved("git", _NOT_OURS)
    lines = [line for line in said.splitlines() if line.strip()]
    why = f"git says: {lines[-1].removeprefix('fatal: ')}" if lines else "git gave no answer"
    return NotObserved("git", why)


def _states(told: str) -> Iterator[State]:
    for entry in told.split("\x01")[1:]:
        commit, ref, when, files = entry.split("\x02", 3)
        ref = ref if ref.startswith(("refs/", "HEAD")) else ""
        fields = files.strip("\n\0").split("\0")
        for change, path in zip(fields[::2], fields[1::2], strict=False):
            _, _, before, after, status = change.strip().split(" ")
            gone = status == "D"
            if path.endswith(".py"):
                blob = before if gone else after
                yield State(path, ref, commit[:10], when[:10], blob, gone)
