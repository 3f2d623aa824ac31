"""Look-ups in a repository of 5,000 commits: cpu seconds of one look, git's own included.

`git fast-import` makes the history: every commit changes a file of the application, every tenth
adds a revision, and one more deletes some of them.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from migdoctor.observe import git, history
from migdoctor.observe.witness import Witness
from tests.bench.graph import REVISION

PAIRS = 5
COMMITS = 5_000
LOST = 20  # of the last revisions: deleted on main


def generate(folder: Path) -> list[str]:
    """The ids of the revisions, in order; the last `LOST` have no file any more."""
    ids = [f"{n:012x}" for n in range(1, COMMITS // 10 + 1)]
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(folder)], check=True)
    subprocess.run(
        ["git", "-C", str(folder), "fast-import", "--quiet"],
        input="".join(_commits(ids)).encode(),
        check=True,
    )
    subprocess.run(["git", "-C", str(folder), "reset", "--quiet", "--hard", "main"], check=True)
    return ids


def _commits(ids: list[str]) -> Iterator[str]:
    for n in range(COMMITS):
        yield _head(n)
        if n % 10 == 9:
            number = n // 10
            down = ids[number - 1] if number else None
            text = REVISION.format(n=number, id=ids[number], down=down, revises=down or "")
            yield f"M 644 inline versions/{ids[number]}.py\n{_data(text)}"
        yield f"M 644 inline app/module_{n % 300}.py\n{_data(f'x = {n}')}\n"
    yield _head(COMMITS)
    yield from (f"D versions/{id}.py\n" for id in ids[-LOST:])


def _head(n: int) -> str:
    who = f"committer x <x@example.org> {1_700_000_000 + n} +0000"
    return f"commit refs/heads/main\n{who}\ndata 1\nx\n"


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"


def measure() -> list[tuple[str, float, float]]:
    """(name, seconds, ceiling): a lost line, an id that nobody has, what 500 files have been."""
    git.SECONDS = 60.0  # on a busy machine the limit of two would end the look
    with tempfile.TemporaryDirectory(prefix="bench_git_") as name:
        folder = Path(name)
        ids = generate(folder)
        places = (folder / "versions",)
        seen = history.read(places, False, False)

        def lost() -> None:
            (found,) = Witness(seen, places, folder).look([ids[-1]]).values()
            assert len(found.files) == LOST
            assert found.whole

        def unknown() -> None:
            assert Witness(seen, places, folder).look(["zzz9"]) == {}

        def past() -> None:
            assert len(Witness(seen, places, folder).versions(ids)) == len(ids)

        rows = {
            "20 lost files": lost,
            "an id that nobody has": unknown,
            "the past of 500 files": past,
        }
        return [
            (f"{what} in a repository of 5,000 commits (cpu s)", _seconds(look), 2.0)
            for what, look in rows.items()
        ]


def _seconds(look: Callable[[], None]) -> float:
    taken = []
    for _ in range(PAIRS):
        start = _cpu()
        look()
        taken.append(_cpu() - start)
    return statistics.median(taken)


def _cpu() -> float:
    return sum(os.times()[:4])


if __name__ == "__main__":
    for line, seconds, ceiling in measure():
        sys.stdout.write(f"{line}: {seconds:.3f} (at most {ceiling})\n")
