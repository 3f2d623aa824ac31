"""Rows, lanes and folds of a drawn graph: nothing is lost, nothing hangs in the air."""

import random
from collections.abc import Iterable

import pytest

from migdoctor.graph import History
from migdoctor.lanes import SCREEN, STRETCH, Fold, Row, fold, lay_out
from tests.facts import revision


def graph(**edges: str) -> History:
    """A history of id="parent parent" pairs, in reading order."""
    return History(revisions=tuple(revision(id, *down.split()) for id, down in edges.items()))


def line(count: int) -> History:
    return History(
        revisions=tuple(revision(f"r{n}", *([f"r{n - 1}"] if n else [])) for n in range(count))
    )


def drawn(rows: Iterable[Row]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(row.id, row.lane, row.edges) for row in rows]


def assert_whole(history: History, rows: tuple[Row, ...]) -> None:
    """Every revision has one row, and every line that leaves a row arrives at its parent."""
    assert sorted(row.id for row in rows) == sorted(history.by_id)
    lanes: dict[int, str] = {}  # open lane -> the revision that it leads to
    for row in rows:
        if row.lane in lanes:
            assert lanes.pop(row.lane) == row.id
        assert row.id not in lanes.values()
        assert {*row.passing} == {*lanes}
        for lane in row.joining:
            assert lanes.pop(lane) in row.parents
        for parent, lane in zip(row.parents, row.edges, strict=True):
            assert lanes.setdefault(lane, parent) == parent
        assert {*row.parents, *row.lost} == {*history.by_id[row.id].down}
    assert not lanes


def test_a_line_is_one_lane_newest_first() -> None:
    rows = lay_out(graph(a="", b="a", c="b"))
    assert drawn(rows) == [("c", 0, (0,)), ("b", 0, (0,)), ("a", 0, ())]


def test_a_merge_and_its_branch_point() -> None:
    rows = lay_out(graph(a="", b="a", c="a", m="b c", n="m"))
    assert drawn(rows) == [
        *[("n", 0, (0,)), ("m", 0, (0, 1)), ("c", 1, (1,)), ("b", 0, (0,)), ("a", 0, ())]
    ]
    assert rows[3].joining == (1,)
    assert_whole(graph(a="", b="a", c="a", m="b c", n="m"), rows)


def test_two_heads_are_beside_each_other() -> None:
    rows = lay_out(graph(a="", b="a", c="a"))
    assert [row.lane for row in rows] == [0, 1, 0]


def test_what_cannot_be_drawn_is_named() -> None:
    sick = graph(a="gone", b="b", c="d", d="c", e="a lost")
    rows = {row.id: row for row in lay_out(sick)}
    assert rows["a"].lost == ("gone",)
    assert rows["b"].lost == ("b",)
    assert [row.lost for row in (rows["c"], rows["d"]) if row.lost] in ([("d",)], [("c",)])
    assert (rows["e"].parents, rows["e"].lost) == (("a",), ("lost",))
    assert_whole(sick, lay_out(sick))


@pytest.mark.parametrize("seed", range(60))
def test_any_graph_is_drawn_whole(seed: int) -> None:
    """Branchy ones, sick ones (unknown parents, knots), with dependencies, in any reading order."""
    chance = random.Random(seed)
    ids = [f"r{n}" for n in range(chance.randrange(1, 60))]
    sick = seed % 2
    made = []
    for n, id in enumerate(ids):
        known = ids if sick and chance.random() < 0.1 else ids[:n]
        down = chance.sample(known, min(len(known), chance.choice((0, 1, 1, 1, 1, 2, 3))))
        down += ["gone"] if sick and chance.random() < 0.1 else []
        needs = chance.sample(ids[:n], 1) if n and chance.random() < 0.1 else []
        made.append(revision(id, *down, depends_on=tuple(needs)))
    chance.shuffle(made)
    history = History(revisions=tuple(made))
    rows = lay_out(history)
    assert_whole(history, rows)
    if not history.cycles:
        place = {row.id: number for number, row in enumerate(rows)}
        assert all(place[id] < place[p] for id, found in history.parents.items() for p in found)
    marked = {*chance.sample(ids, len(ids) // 20)}
    folded = fold(rows, marked, set(), lambda id: int(id[1:]) > 30)
    shown = [row for part in folded for row in (part.rows if isinstance(part, Fold) else (part,))]
    assert shown == list(rows)
    hidden = {row.id for part in folded if isinstance(part, Fold) for row in part.rows}
    assert not hidden & {*marked, *history.heads, *history.bases}


# --- folding ------------------------------------------------------------------------------------


def test_a_graph_that_fits_a_screen_is_never_folded() -> None:
    rows = lay_out(line(SCREEN))
    assert fold(rows, set(), set(), lambda id: None) == rows


def test_a_long_line_is_folded_between_its_ends() -> None:
    rows = lay_out(line(2000))
    lines = fold(rows, {"r1999", "r1500", "r0"}, set(), lambda id: None)
    assert [len(x.rows) if isinstance(x, Fold) else x.id for x in lines] == [
        *("r1999", 497, "r1501", "r1500", 1498, "r1", "r0")
    ]


def test_a_stretch_is_of_one_kind() -> None:
    rows = lay_out(line(100))
    lines = fold(rows, set(), set(), lambda id: int(id[1:]) >= 50)
    folds = [[row.id for row in x.rows] for x in lines if isinstance(x, Fold)]
    assert [(f[0], f[-1]) for f in folds] == [("r98", "r51"), ("r49", "r2")]


def test_a_short_stretch_stays() -> None:
    rows = lay_out(line(SCREEN + 10))
    marked = {f"r{n}" for n in range(0, SCREEN + 10, STRETCH + 1)}
    assert not any(isinstance(x, Fold) for x in fold(rows, marked, set(), lambda id: None))


def ladder(rungs: int) -> History:
    """A branch and a merge again and again."""
    made = [revision("m0")]
    for n in range(rungs):
        made += [revision(f"a{n}", f"m{n}"), revision(f"b{n}", f"m{n}")]
        made += [revision(f"m{n + 1}", f"a{n}", f"b{n}")]
    return History(revisions=tuple(made))


def test_merged_branches_are_folded_only_where_there_are_very_many() -> None:
    few, many = ladder(15), ladder(700)
    forks = {id for id, children in many.children.items() if len(children) > 1}
    assert not any(isinstance(x, Fold) for x in fold(lay_out(few), set(), forks, lambda id: None))
    lines = fold(lay_out(many), {"m700", "m0", "a350"}, forks, lambda id: None)
    assert len(lines) < 30
    shown = {line.id for line in lines if isinstance(line, Row)}
    assert {"m700", "m0", "a350"} <= shown


def test_a_fold_hides_no_line_of_another_branch() -> None:
    """Beside a long branch there is another one: neither is hidden in the fold of the other."""
    made = [revision("root")]
    for side in "xy":
        made += [revision(f"{side}{n}", f"{side}{n - 1}" if n else "root") for n in range(150)]
    made += [revision("top", "x149", "y149", "x75")]
    history = History(revisions=tuple(made))
    lines = fold(lay_out(history), {"top", "root"}, {"root", "x75"}, lambda id: None)
    lanes: set[int] = set()
    for part in lines:
        assert {*part.passing} == lanes - {part.lane}
        lanes = {*part.open} if isinstance(part, Row) else lanes
    assert not lanes
