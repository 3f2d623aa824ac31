"""Where each revision of a graph is drawn: History -> rows, newest first, with lanes and edges.

Pure, and linear but for the number of lanes. A sick graph is laid out too: what cannot be drawn (a
parent that no file has, an edge that goes back up a cycle) is named in its row.
"""

import heapq
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from migdoctor.graph import History

SCREEN = 30  # a graph of so many rows is never folded
SCREENS = 100  # a folded graph of more rows than this is folded further
STRETCH = 6  # a stretch longer than this is folded, but for its first and its last row


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One revision and the lines around it.

    A line to a parent leaves a row downwards: it changes to the lane of the parent at once and
    goes straight down from there, so that every lane waits for one revision. `edges` are the
    lanes of the parents, `passing` the lanes that run by, from above to below, and `joining`
    those that run by and then end in this row's lane, because they lead to the same parent.
    `lost` are parents that cannot be drawn: no file has them, or they stand above, which only a
    cycle brings about.
    """

    id: str
    lane: int
    parents: tuple[str, ...]
    edges: tuple[int, ...]
    joining: tuple[int, ...]
    passing: tuple[int, ...]
    lost: tuple[str, ...] = ()

    @property
    def straight(self) -> bool:
        """One line goes on in the same lane, and no other begins or ends."""
        return self.edges == (self.lane,) and not self.joining

    @property
    def open(self) -> frozenset[int]:
        """The lanes that go on below."""
        return frozenset(self.passing).difference(self.joining).union(self.edges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A stretch of rows that is drawn as one line in one lane; `rows` are newest first."""

    rows: tuple[Row, ...]
    lane: int
    passing: tuple[int, ...]


def lay_out(history: History) -> tuple[Row, ...]:
    """A row for every revision, each above its parents unless they are in a cycle."""
    order = _newest_first(history)
    place = {id: number for number, id in enumerate(order)}
    lanes = _Lanes()
    rows = []
    for number, id in enumerate(order):
        down = tuple(dict.fromkeys(history.by_id[id].down))
        parents = tuple(p for p in down if place.get(p, -1) > number)
        rows.append(lanes.row(id, parents, tuple(p for p in down if p not in parents)))
    return tuple(rows)


def fold(
    rows: Sequence[Row], marked: Set[str], forks: Set[str], kind: Callable[[str], object]
) -> tuple[Row | Fold, ...]:
    """The rows with long stretches that nothing distinguishes put together.

    `marked` are ids that must be seen, and so must `forks` and merges, unless there are so many
    that the drawing would fill several screens: then a branch that is merged again is folded with
    what is beside it. The revisions of one stretch are of one `kind`.
    """
    if len(rows) <= SCREEN:
        return tuple(rows)
    lines = _folded(rows, marked | forks, kind, through=False)
    return lines if len(lines) <= SCREENS else _folded(rows, marked, kind, through=True)


def _folded(
    rows: Sequence[Row], marked: Set[str], kind: Callable[[str], object], through: bool
) -> tuple[Row | Fold, ...]:
    lines: list[Row | Fold] = []
    first, above = 0, frozenset[int]()
    while first < len(rows):
        last = first
        if rows[first].lane in above and rows[first].id not in marked:
            last = _stretch(rows, first, marked, kind, through)
        stretch = rows[first : last + 1]
        lines += stretch if len(stretch) <= STRETCH else _ends(stretch)
        first, above = last + 1, rows[last].open
    return tuple(lines)


def _stretch(
    rows: Sequence[Row],
    first: int,
    marked: Set[str],
    kind: Callable[[str], object],
    through: bool,
) -> int:
    """The number of the last row that may be in one stretch with the `first` one.

    Below it the same lanes are open as above the first, and nothing between leads to the others.
    """
    lane, beside, sort = rows[first].lane, {*rows[first].passing}, kind(rows[first].id)
    last = first
    for number in range(first, len(rows)):
        row = rows[number]
        if row.id in marked or row.lost or kind(row.id) != sort:
            break
        if not (row.straight or through):
            break
        if not beside.isdisjoint((row.lane, *row.edges, *row.joining)):
            break
        if row.open == beside | {lane}:
            last = number
    return last


def _ends(stretch: Sequence[Row]) -> list[Row | Fold]:
    """A stretch folded, but for its oldest row where that is a plain one: what comes next there
    is what an upgrade runs next."""
    lane, passing, last = stretch[0].lane, stretch[0].passing, stretch[-1]
    plain = last.straight and last.lane == lane and {*last.passing} == {*passing}
    inner = stretch[:-1] if plain else stretch
    return [Fold(rows=tuple(inner), lane=lane, passing=passing), *stretch[len(inner) :]]


class _Lanes:
    """The lanes while rows are laid out: each waits for one revision, and free ones are reused."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.free: list[int] = []
        self.count = 0

    def row(self, id: str, parents: tuple[str, ...], lost: tuple[str, ...]) -> Row:
        own = self.waiting.pop(id, None)
        lane = self._take() if own is None else own
        passing = tuple(self.waiting.values())
        kept = False
        edges, joining = [], []
        for parent in parents:
            there = self.waiting.get(parent)
            if there is None or (there > lane and not kept):
                joining += [] if there is None else [there]
                self.waiting[parent] = there = self._take() if kept else lane
                kept = True
            edges.append(there)
        for left in (*joining, *([] if kept else [lane])):
            heapq.heappush(self.free, left)
        return Row(
            id=id,
            lane=lane,
            parents=parents,
            edges=tuple(edges),
            joining=tuple(joining),
            passing=passing,
            lost=lost,
        )

    def _take(self) -> int:
        if self.free:
            return heapq.heappop(self.free)
        self.count += 1
        return self.count - 1


def _newest_first(history: History) -> tuple[str, ...]:
    """Every id above what must run before it, branch after branch.

    Of the revisions whose followers are all there, the one that became free last comes next, so
    that a branch is walked to its end; of several heads the one with the longest history is first.
    Where nothing is free there is a cycle, and it is cut at its first revision.
    """
    depth = _depths(history)
    left = {id: len(followers) for id, followers in history.followers.items()}
    ready = sorted((id for id, count in left.items() if not count), key=lambda id: depth[id])
    knots = iter(history.cycles)  # a knot comes after those that it hangs on
    cuts = [id for knot in knots for id in reversed(knot)]
    order: dict[str, None] = {}
    while True:
        while ready:
            if (id := ready.pop()) in order:
                continue
            order[id] = None
            free = []
            for parent in history.parents[id]:
                left[parent] -= 1
                if not left[parent] and parent not in order:
                    free.append(parent)
            ready += sorted(free, key=lambda id: depth[id])
        while cuts and cuts[-1] in order:
            cuts.pop()
        if not cuts:
            return tuple(order)
        ready.append(cuts.pop())


def _depths(history: History) -> dict[str, int]:
    """How many revisions must run before each, along the longest way; 0 in and above a cycle."""
    depth = dict.fromkeys(history.by_id, 0)
    for id in history.topological:
        depth[id] = 1 + max((depth[p] for p in history.parents[id]), default=0)
    return depth
