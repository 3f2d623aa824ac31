"""Locate on simulated histories: branches, merges, half-run revisions, and changes by hand.

Small by default; `MIGDOCTOR_LOCATE_CASES` sets the number of cases (`make locate-study`). Every
case comes from its seed, so a failure names the seed that shows it.
"""

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from migdoctor.facts import FactKey
from migdoctor.graph import History, Revision
from migdoctor.locate import locate
from migdoctor.timeline import Position, Recorded, Timeline, apply_unit

CASES = int(os.environ.get("MIGDOCTOR_LOCATE_CASES", "240"))
GROUPS = {0: "none", 1: "few", 2: "few", 3: "many", 4: "many", 5: "many"}
State = dict[FactKey, str]


def fact(table: str, kind: str, name: str = "") -> FactKey:
    return FactKey("main", table, kind, name)


# --- random histories ---------------------------------------------------------------------------


@dataclass
class Simulation:
    """One random history; `dice` is its only source of chance."""

    dice: random.Random
    tables: int = 0
    dropped: set[FactKey] = field(default_factory=set)

    def history(self, length: int) -> tuple[History, Timeline]:
        """Revisions in lines, with branches and merges; a tenth of them changes no schema."""
        revisions: list[Revision] = []
        heads: list[str] = []
        states: dict[str, State] = {}
        statements: dict[str, tuple[Recorded, ...]] = {}
        for number in range(length):
            id = f"r{number:04d}"
            down = self.parents(heads, [r.id for r in revisions])
            heads[:] = [head for head in heads if head not in down] + [id]
            revisions.append(
                Revision(
                    id=id,
                    down=down,
                    depends_on=(),
                    labels=(),
                    path=Path(f"{id}.py"),
                    line=1,
                    message="",
                    sha=id,
                )
            )
            state: State = {}
            for parent in down:
                state |= states[parent]
            size = 0 if self.dice.random() < 0.1 else self.dice.randint(2, 5)
            statements[id] = tuple(self.statement(state) for _ in range(size))
            states[id] = state
        history = History(revisions=tuple(revisions))
        ordered = {id: statements[id] for id in history.topological}
        return history, Timeline(dialect="sqlite", rung="replay", revisions=ordered)

    def parents(self, heads: list[str], older: list[str]) -> tuple[str, ...]:
        if not heads:
            return ()
        if len(heads) > 1 and self.dice.random() < 0.3:
            return tuple(heads[:2])
        if self.dice.random() < 0.12:
            return (self.dice.choice(older),)
        return (self.dice.choice(heads),)

    def statement(self, state: State) -> Recorded:
        """One statement of a kind that is as common as it is in real histories."""
        chance, tables = self.dice.random(), sorted({k.table for k in state if k.kind == "table"})
        added: State = {}
        removed: State = {}
        if chance < 0.25 or not tables:
            self.tables += 1
            name = f"t{self.tables}"
            added = {fact(name, "table"): "table"}
            added |= {fact(name, "column", f"c{n}"): "INTEGER" for n in range(3)}
        elif chance < 0.55:
            added = {fact(self.dice.choice(tables), "column", self.name("x")): "TEXT"}
        elif chance < 0.8:
            added = {fact(self.dice.choice(tables), "index", self.name("ix")): "(c0)"}
        elif chance < 0.9 and (indexes := sorted(self.droppable(state))):
            key = self.dice.choice(indexes)
            self.dropped.add(key)
            removed = {key: state[key]}
        for key in removed:
            del state[key]
        state |= added
        return Recorded(sql="...", added=added, removed=removed, data=not added and not removed)

    def droppable(self, state: State) -> set[FactKey]:
        """Indexes that no revision of any branch drops: a second DROP would fail."""
        return {key for key in state if key.kind == "index"} - self.dropped

    def name(self, prefix: str) -> str:
        return f"{prefix}{self.dice.randrange(10**9)}"

    def drift(self, live: State, changes: int) -> None:
        """Changes by hand: half of them add something, the others take away or alter."""
        for _ in range(changes):
            chance = self.dice.random()
            if chance < 0.5 or not live:
                live[fact(self.name("hand"), "column", "c")] = "INTEGER"
            else:
                key = self.dice.choice(sorted(live))
                if chance < 0.8:
                    del live[key]
                else:
                    live[key] = "CHANGED"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A database at a known place, and what was found."""

    seed: int
    changes: int
    timeline: Timeline
    truth: Mapping[FactKey, str]
    begun: frozenset[str]
    found: Position

    @property
    def exact(self) -> bool:
        return dict(self.found.state) == dict(self.truth)

    @property
    def right_revision(self) -> bool:
        """The same revisions have begun, or the answer names all that is in doubt.

        Revisions that take back what earlier ones did lead to the same schema: no way to tell.
        """
        found = {id for id in self.found.applied if self.timeline.units[id]}
        found |= {part.id for part in self.found.partial}
        odd = found ^ self.begun
        return self.exact or odd <= {*self.found.rivals, *self.found.candidates}


@cache
def case(seed: int) -> Case:
    simulation = Simulation(random.Random(seed))
    dice = simulation.dice
    history, timeline = simulation.history(dice.randint(5, 40))
    ids = list(history.by_id)
    target = dice.choice(ids)
    done = history.closure((target, dice.choice(ids)) if dice.random() < 0.3 else (target,))
    truth = timeline.state(done)
    begun = {id for id in done if timeline.units[id]}
    ready = [id for id in ids if id not in done and done.issuperset(history.parents[id])]
    if ready and dice.random() < 0.5:
        units = timeline.units[half := dice.choice(ready)]
        for unit in units[: dice.randint(0, max(0, len(units) - 1))]:
            apply_unit(truth, unit)
            begun.add(half)
    changes = dice.choice((0, 0, 1, 2, 3, 4, 5))
    live = dict(truth)
    simulation.drift(live, changes)
    recorded = [target] if dice.random() < 0.7 else [dice.choice(ids)]
    return Case(
        seed=seed,
        changes=changes,
        timeline=timeline,
        truth=truth,
        begun=frozenset(begun),
        found=locate(timeline, history, live, recorded),
    )


def cases(group: str = "") -> list[Case]:
    every = [case(seed) for seed in range(CASES)]
    return [c for c in every if not group or GROUPS[c.changes] == group]


# --- what is promised ---------------------------------------------------------------------------


def test_without_drift_every_position_is_found() -> None:
    assert [c.seed for c in cases("none") if not (c.exact and c.found.distance == 0)] == []


@pytest.mark.parametrize(
    ("group", "exact", "revision"), [("few", 0.95, 0.97), ("many", 0.88, 0.97)]
)
def test_with_drift_nearly_every_position_is_found(
    group: str, exact: float, revision: float
) -> None:
    drawn = cases(group)
    assert sum(c.exact for c in drawn) >= exact * len(drawn)
    assert sum(c.right_revision for c in drawn) >= revision * len(drawn)


def test_certain_is_never_wrong() -> None:
    sure = [c for c in cases() if c.found.certainty == "certain"]
    assert len(sure) > len(cases()) / 10
    assert [c.seed for c in sure if not c.exact] == []


def test_no_margin_is_always_called_ambiguous() -> None:
    tied = [c for c in cases() if c.found.margin == 0]
    assert tied
    assert {c.found.certainty for c in tied} == {"unknown"}


def test_drift_is_never_certain() -> None:
    assert not [c.seed for c in cases() if c.found.distance and c.found.certainty == "certain"]


def test_every_word_is_used() -> None:
    assert set(Counter(c.found.certainty for c in cases())) == {"certain", "likely", "unknown"}


# --- plain cases --------------------------------------------------------------------------------


def line(*sizes: int) -> tuple[History, Timeline]:
    """A plain line of revisions; each makes a table with that many columns, 0: only rows."""
    revisions, statements = [], {}
    for number, size in enumerate(sizes):
        id = f"r{number}"
        down = (f"r{number - 1}",) if number else ()
        revisions.append(
            Revision(
                id=id,
                down=down,
                depends_on=(),
                labels=(),
                path=Path(id),
                line=1,
                message="",
                sha=id,
            )
        )
        columns = {fact(id, "column", f"c{n}"): "INTEGER" for n in range(size)}
        statements[id] = (Recorded(sql=id, added=columns, data=not size),)
    history = History(revisions=tuple(revisions))
    return history, Timeline(dialect="sqlite", rung="replay", revisions=statements)


def test_revisions_of_rows_alone_tie_and_the_recorded_one_is_located() -> None:
    history, timeline = line(2, 0, 0, 1)
    live = timeline.state(["r0"])
    for row in ("r0", "r1", "r2"):
        found = locate(timeline, history, live, [row])
        assert (found.located, found.certainty) == ((row,), "certain")
        assert {"r0", "r1", "r2"} >= set(found.candidates) > {row}


def test_two_states_that_are_equally_near_are_both_named() -> None:
    history, timeline = line(1, 2, 1)
    live = timeline.state(["r0", "r2"])  # two columns dropped by hand, or one made
    found = locate(timeline, history, live, ["r0"])
    assert (found.margin, found.certainty) == (0, "unknown")
    assert {*found.located, *found.rivals} >= {"r0", "r2"}


def test_a_table_that_could_not_be_read_does_not_vote() -> None:
    history, timeline = line(2, 2)
    live = timeline.state(["r0"])
    found = locate(timeline, history, live, ["r1"], frozenset({("main", "r1")}))
    assert found.located == ("r1",)
    assert found.distance == 0


def test_the_schema_wins_against_the_record() -> None:
    history, timeline = line(2, 2, 2)
    found = locate(timeline, history, timeline.state(["r0"]), ["r2"])
    assert (found.located, found.certainty, found.distance) == (("r0",), "likely", 0)


def created(timeline: Timeline) -> State:
    """What create_all() makes at the end of `line(2, 1, 2)`: r1.c0 otherwise, r2.c1 not at all."""
    state = timeline.state(timeline.revisions)
    state[fact("r1", "column", "c0")] = "BIGINT"
    del state[fact("r2", "column", "c1")]
    return state


def test_what_create_all_makes_otherwise_is_read_as_made_by_revisions() -> None:
    history, plain = line(2, 1, 2)
    live = created(plain)
    assert locate(plain, history, live, ["r2"]).distance
    found = locate(replace(plain, created=live), history, live, ["r2"])
    assert (found.located, found.distance, found.certainty) == (("r2",), 0, "certain")
    assert found.margin


def test_a_revision_that_create_all_knows_and_live_lacks_has_not_run() -> None:
    history, plain = line(2, 1, 3)
    whole = created(plain)
    live = {k: v for k, v in whole.items() if k.table != "r2"}
    found = locate(replace(plain, created=whole), history, live, ["r2"])
    assert (found.located, found.certainty) == (("r1",), "likely")
    # What create_all() does not make either proves nothing, unless create_all() was at work.
    migrated = plain.state(["r0", "r1"]) | {fact("r2", "column", "c0"): "INTEGER"}
    found = locate(replace(plain, created=whole), history, migrated, ["r2"])
    assert found.certainty == "unknown"
    assert found.margin == 0


def test_revisions_that_create_all_hides_are_told_by_the_record() -> None:
    history, plain = line(2, 1, 1)
    live = plain.state(["r0", "r1"]) | {fact("r1", "column", "c0"): "BIGINT"}
    timeline = replace(plain, created=live)  # the models do not ask for r2's column
    for row in ("r1", "r2"):
        found = locate(timeline, history, live, [row])
        assert (found.located, found.certainty) == ((row,), "certain")
    found = locate(timeline, history, live, ["r0"])
    assert (found.located, found.certainty) == (("r1",), "likely")
    assert "r2" in found.candidates


def test_a_detail_that_some_revision_makes_as_well_is_no_sign_of_create_all() -> None:
    key = fact("t", "column", "c")
    history, plain = line(1, 1, 1)
    statements = {
        "r0": (Recorded(sql="", added={key: "INTEGER"}),),
        "r1": (Recorded(sql="", added={key: "BIGINT"}, removed={key: "INTEGER"}),),
        "r2": plain.revisions["r2"],
    }
    timeline = replace(plain, revisions=statements, created=plain.state(["r2"]) | {key: "INTEGER"})
    found = locate(timeline, history, {key: "INTEGER"}, ["r0"])
    assert (found.located, found.certainty) == (("r0",), "certain")


def test_a_base_that_holds_revisions_counts_them_as_applied() -> None:
    history, plain = line(1, 1, 1, 1)
    timeline = replace(
        plain,
        rung="rebuilt-base",
        base=plain.state(["r0", "r1"]),
        stands=frozenset({"r0", "r1"}),
        revisions={id: plain.revisions[id] for id in ("r2", "r3")},
    )
    for done, row, sure in (
        (["r0", "r1", "r2", "r3"], "r3", "certain"),
        (["r0", "r1", "r2"], "r2", "certain"),
        (["r0", "r1"], "r1", "certain"),
        (["r0", "r1"], "r3", "likely"),
        (["r0", "r1"], "r0", "unknown"),  # what r1 alone makes is not known
        (["r0"], "r0", "unknown"),
    ):
        found = locate(timeline, history, plain.state(done), [row])
        assert (found.located, found.certainty) == ((f"r{max(len(done), 2) - 1}",), sure), done
        assert found.applied >= {"r0", "r1"}


def test_a_base_is_not_proven_by_what_runs_beside_it() -> None:
    history, plain = line(1, 1, 1)
    alone = [replace(r, down=()) if r.id == "r2" else r for r in history.revisions]
    history = History(revisions=tuple(alone), broken=())
    timeline = replace(
        plain,
        rung="rebuilt-base",
        stands=frozenset({"r2"}),  # so somebody says; live is r0 and r1, and nothing else
        revisions={id: plain.revisions[id] for id in ("r0", "r1")},
    )
    live = plain.state(["r0", "r1"])
    assert locate(timeline, history, live, ["r1"]).certainty == "unknown"
    assert locate(timeline, history, live, ["r1", "r2"]).certainty == "certain"
