"""How far long work is: bars on stderr, there when something is told and gone afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

REHEARSAL = "rehearsal"
WORDS = {
    "replay": "replaying the history",
    "replay-without-data": "replaying the history without its data",
    "rebuilt-base": "replaying the history on the models",
    "footprint": "trying out each revision",
    REHEARSAL: "rehearsing on a copy",
}


@contextmanager
def shown(*, color: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A function to be told `(what, done, total)`; 0 of 0 means that it is over."""
    bars = _Bars(color)
    try:
        yield bars.tell
    finally:
        bars.close()


class _Bars:
    """One line for the rehearsal, one for the replay, which tries one way after the other."""

    def __init__(self, color: bool) -> None:
        self._color = color
        self._shown: Progress | None = None
        self._lines: dict[bool, TaskID] = {}  # by whether it is the rehearsal

    def tell(self, what: str, done: int, total: int) -> None:
        endless = what == REHEARSAL  # nobody knows how long it takes
        if not total:
            self._end(endless)
            return
        if self._shown is None:
            self._shown = _started(self._color)
        more: dict[str, Any] = {
            "description": WORDS[what],
            "completed": done,
            "total": None if endless else total,
            "count": "" if endless else f"{done}/{total}",
        }
        if endless in self._lines:
            self._shown.update(self._lines[endless], **more)
        else:
            self._lines[endless] = self._shown.add_task(**more)

    def close(self) -> None:
        """Take everything off the screen; may be called twice."""
        self._lines.clear()
        if self._shown:
            self._shown.stop()
            self._shown = None

    def _end(self, endless: bool) -> None:
        if self._shown and endless in self._lines:
            self._shown.remove_task(self._lines.pop(endless))
        if not self._lines:
            self.close()


def _started(color: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    # The streams stay what they are: stdout has the report, whatever is shown beside it.
    started = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"),
        console=Console(stderr=True, no_color=not color), transient=True,
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    started.start()
    return started
