"""Cases of the study: a live database at a known place of a random history, and what was found."""

import random
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from migdoctor.graph import History
from migdoctor.locate import locate
from migdoctor.observe.look import observe
from migdoctor.project.config import Request
from migdoctor.target import open_target
from migdoctor.timeline import Position, Timeline
from tests.study import histories, lives
from tests.study.lives import Engine, Facts

SHARE = 20  # cases that share one history and its replay
# Revisions in the histories of eighteen published packages (tests/real/test_histories.py).
LENGTHS = (7, 8, 9, 9, 10, 19, 25, 60, 70, 80, 85, 90, 100, 110, 115, 120, 130, 150)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A live database and where it is: revisions that are complete and that have begun.

    Revisions that change nothing in the schema are left out; `facts` are those of the database.
    """

    url: str
    facts: Facts
    complete: frozenset[str]
    begun: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One database and what was found. `truth` is how it was before somebody changed it by hand.

    `undone`: a certain answer names a place at which alembic makes just this database, fact for
    fact and row for row; where it is not the truth, the changes have led there unseen.
    """

    name: str
    changes: tuple[str, ...]
    truth: Place
    found: Position
    complete: frozenset[str]
    undone: bool

    @property
    def drift(self) -> str:
        return {0: "none", 1: "1-2", 2: "1-2"}.get(len(self.changes), "3-5")

    @property
    def exact(self) -> bool:
        """The state that was located is the true one, or one with the same schema."""
        return dict(self.found.state) == self.truth.facts

    @property
    def right_revision(self) -> bool:
        """The last complete revisions are the true ones, or those of which something ran."""
        begun = self.complete | {part.id for part in self.found.partial}
        return self.exact or self.complete == self.truth.complete or begun == self.truth.begun

    @property
    def named(self) -> bool:
        """The right revision, or an ambiguous answer that names all that is in doubt."""
        begun = self.complete | {part.id for part in self.found.partial}
        doubt = {*self.found.candidates, *self.found.rivals}
        said = self.found.certainty == "unknown" and begun ^ self.truth.begun <= doubt
        return self.right_revision or said

    @property
    def certain(self) -> bool:
        return self.found.certainty == "certain"

    @property
    def wrong(self) -> bool:
        return self.certain and not (self.exact or self.undone)

    def __str__(self) -> str:
        parts = ", ".join(f"{p.id} {p.applied}/{p.total}" for p in self.found.partial)
        return (
            f"{self.name} {self.changes}: {self.found.certainty} {self.found.located} {parts}, "
            f"true are {sorted(self.truth.begun - self.complete)} more, "
            f"{sorted(self.complete - self.truth.begun)} less"
        )


def cases(dialect: str, count: int, folder: Path) -> Iterator[Case]:
    """The first `count` cases of an engine."""
    for number in range(-(-count // SHARE)):
        yield from history(dialect, number, min(SHARE, count - number * SHARE), folder)


def history(dialect: str, number: int, count: int, folder: Path) -> Iterator[Case]:
    """Cases on the history with this number."""
    dice = random.Random(f"{dialect} {number}")
    drafts = histories.Drawing(dialect, dice).draw(dice.choice(LENGTHS))
    project = histories.write(folder / f"{dialect}{number}", drafts)
    with closing(Engine(dialect, project)) as engine:
        empty = engine.copy()
        with (
            lives.surroundings(STUDY_URL=empty, STUDY_STOP=""),
            open_target(Request(cwd=project), quick=False) as target,
        ):
            seen = observe(target)
        assert (seen.timeline.rung, seen.timeline.failed) == ("replay", None), number
        assert seen.timeline.revisions.keys() == {draft.id for draft in drafts}
        shelf = Shelf(project, engine, seen.history, seen.timeline, dice, {frozenset(): empty})
        for one in range(count):
            yield shelf.case(f"{dialect} {number}.{one}")


@dataclass
class Shelf:
    """Databases that alembic has upgraded, by the revisions that are applied; kept for copies."""

    project: Path
    engine: Engine
    history: History
    timeline: Timeline
    dice: random.Random
    databases: dict[frozenset[str], str]

    def case(self, name: str) -> Case:
        truth = self.somewhere()
        self.falsify(truth.url)
        hand = lives.Hand(truth.url, truth.facts, self.dice)
        live = hand.change(self.dice.choice((0, 0, 1, 2, 3, 4, 5)) if truth.facts else 0)
        recorded = [row for row in lives.rows_of(truth.url) if row in self.history.by_id]
        self.engine.drop(truth.url)
        found = locate(self.timeline, self.history, live, recorded)
        return Case(
            name=name,
            changes=tuple(hand.done),
            truth=truth,
            found=found,
            complete=self.weighty(found.applied),
            undone=found.certainty == "certain" and self.is_at(found, live, recorded),
        )

    def is_at(self, found: Position, live: Facts, recorded: Iterable[str]) -> bool:
        """Whether a database that alembic leaves at the found place is like the live one."""
        done = self.history.closure(found.located)
        same_rows = self.weighty(self.history.closure(recorded)) == self.weighty(done)
        return same_rows and any(live == facts for facts in self.left(done, found))

    def left(self, done: frozenset[str], found: Position) -> Iterator[Facts]:
        """The facts after these revisions, and wherever an upgrade to a begun one may end."""
        if not found.partial:
            yield lives.facts_of(self.at(done))
        for part in found.partial:
            for stop in range(1, len(self.timeline.revisions[part.id])):
                url = self.engine.copy(self.at(done))
                lives.upgraded(self.project, url, part.id, stop)
                yield lives.facts_of(url)
                self.engine.drop(url)

    def somewhere(self) -> Place:
        """A database at a random place, in half of the cases in the middle of a revision."""
        ids = list(self.history.by_id)
        ends = {self.dice.choice(ids)}
        if self.dice.random() < 0.3:
            ends.add(self.dice.choice(ids))
        done = self.history.closure(ends)
        ready = [i for i in ids if i not in done and done.issuperset(self.history.parents[i])]
        url = self.engine.copy(self.at(done))
        facts = lives.facts_of(url)
        complete = begun = self.weighty(done)
        if ready and self.dice.random() < 0.5:
            half = self.dice.choice(ready)
            stop = self.dice.randint(1, max(1, len(self.timeline.revisions[half]) - 1))
            ended = lives.upgraded(self.project, url, half, stop)
            before, facts = facts, lives.facts_of(url)
            begun = complete | self.weighty([half] if facts != before else [])
            complete = begun if ended else complete
        return Place(url=url, facts=facts, complete=complete, begun=begun)

    def at(self, done: frozenset[str]) -> str:
        """A database with exactly these revisions, upgraded from the nearest one that there is."""
        if done not in self.databases:
            start = max((d for d in self.databases if d <= done), key=len)
            url = self.engine.copy(self.databases[start])
            heads = [id for id in done if not done & set(self.history.followers[id])]
            for head in random.Random(len(done)).sample(sorted(heads), len(heads)):
                assert lives.upgraded(self.project, url, head)
            self.databases[done] = url
        return self.databases[done]

    def falsify(self, url: str) -> None:
        """The version table says the truth in 70 %, else another revision, or nothing."""
        chance = self.dice.random()
        if chance > 0.7:
            row = self.dice.choice(list(self.history.by_id))
            lives.record(url, [row] if chance < 0.9 else [])

    def weighty(self, ids: Iterable[str]) -> frozenset[str]:
        """Those of `ids` that change the schema."""
        return frozenset(id for id in ids if self.timeline.units[id])


# --- the table ----------------------------------------------------------------------------------

HEAD = "engine      drift  cases   exact  revision  or named  ambiguous  certain  wrong  undone"


def line(engine: str, drift: str, drawn: list[Case]) -> str:
    """One line of the table; shares in percent."""
    cells = (
        f"{engine:11}",
        f"{drift:5}",
        f"{len(drawn):5}",
        f"{100 * share(drawn, 'exact'):7.1f}",
        f"{100 * share(drawn, 'right_revision'):9.1f}",
        f"{100 * share(drawn, 'named'):9.1f}",
        f"{sum(case.found.margin == 0 for case in drawn):10}",
        f"{sum(case.certain for case in drawn):8}",
        f"{sum(case.wrong for case in drawn):6}",
        f"{sum(case.certain and not case.exact and case.undone for case in drawn):7}",
    )
    return " ".join(cells)


def share(drawn: list[Case], what: str) -> float:
    return sum(map(attrgetter(what), drawn)) / max(1, len(drawn))
