"""Where a revision id that no local file has can still be seen: git, then orphan bytecode.

Read-only: git is asked for logs and blobs only and may take no lock of its own
(`GIT_OPTIONAL_LOCKS=0`), so that neither index nor work tree is touched.
"""

import os
import subprocess
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from migdoctor.facts import Sighting
from migdoctor.graph import History, Revision
from migdoctor.observe.revision_file import parse

SECONDS = 2.0  # for all questions to git together
COMMITS = 20  # that touched the id, newest first


def look(
    ids: tuple[str, ...], history: History, locations: tuple[Path, ...], root: Path
) -> Mapping[str, Sighting]:
    """Where each of `ids` was seen; an id that nobody has seen is not in the answer.

    No git, no repository and running out of time (2 s) mean that git has seen nothing.
    """
    git = _Git(root, locations)
    found = {}
    for id in ids:
        seen = _in_git(id, history, git) or _in_bytecode(id, history, root)
        if seen is not None:
            found[id] = seen
    return found


def _in_git(id: str, history: History, git: "_Git") -> Sighting | None:
    blob = git.find(id)
    if blob is None:
        return None
    chain, down = [id], blob.revision.down
    while down and chain[-1] not in history.by_id:
        parent = next((p for p in down if p in history.by_id), down[0])
        above = None if parent in history.by_id or parent in chain else git.find(parent)
        chain.append(parent)
        down = above.revision.down if above else ()
    line = chain[1:] if chain[-1] in history.by_id else []
    return Sighting(id=id, source="git", where=blob.where, path=blob.path, leads_to=tuple(line))


def _in_bytecode(id: str, history: History, root: Path) -> Sighting | None:
    code = next((b for b in history.bytecode if b.id == id), None)
    if code is None:
        return None
    path = code.path.relative_to(root) if code.path.is_relative_to(root) else code.path
    local = next((p for p in code.down if p in history.by_id), None)
    return Sighting(
        id=id,
        source="bytecode",
        where="compiled code whose source is gone",
        path=str(path),
        leads_to=(local,) if local else (),
    )


class _Blob(NamedTuple):
    revision: Revision
    path: str
    where: str


class _Git:
    """Questions to the repository around the version folders; no answer is None, never an error."""

    def __init__(self, root: Path, locations: tuple[Path, ...]) -> None:
        self.root = root
        self.folders = [str(folder.absolute()) for folder in locations]
        self.until = time.monotonic() + SECONDS

    def find(self, id: str) -> _Blob | None:
        """The newest version of the file that holds revision `id`, on whatever ref it is."""
        log = self._ask(
            *("log", "--all", f"--max-count={COMMITS}", f"-S{id}", "--no-renames", "--source"),
            *("--no-textconv", "--no-ext-diff", "--no-show-signature", "--name-status", "-z"),
            *("--format=%x01%h%x02%S%x02", "--", *self.folders),
        )
        for commit in (log or b"").decode("utf-8", "replace").split("\x01")[1:]:
            short, ref, files = commit.split("\x02", 2)
            fields = files.strip("\n\0").split("\0")
            for status, path in zip(fields[::2], fields[1::2], strict=False):
                if not path.endswith(".py"):
                    continue
                gone = status.strip() == "D"
                revision = self._blob(f"{short}^" if gone else short, path)
                if revision is not None and revision.id == id:
                    return _Blob(revision, path, _place(short, ref, gone))
        return None

    def _blob(self, commit: str, path: str) -> Revision | None:
        data = self._ask("cat-file", "blob", f"{commit}:{path}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's, about the project's own code
            return parse(data, Path(path), compiled=True)[0] if data else None

    def _ask(self, *question: str) -> bytes | None:
        left = self.until - time.monotonic()
        if left <= 0:
            return None
        command = ["git", "-c", "core.quotePath=false", "-C", str(self.root), *question]
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        env |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run(command, capture_output=True, timeout=left, env=env, check=False)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout if done.returncode == 0 else None


def _place(commit: str, ref: str, gone: bool) -> str:
    """`branch feature (commit 1a2b3c4)`; for a deleted file the commit that deleted it."""
    kinds = {"refs/heads/": "branch ", "refs/remotes/": "branch ", "refs/tags/": "tag "}
    kinds["refs/stash"] = "a stash"
    name = ref or "HEAD"
    for prefix, kind in kinds.items():
        if ref.startswith(prefix):
            name = kind + ref.removeprefix(prefix)
    return f"{name} ({'deleted by' if gone else 'commit'} {commit})"
