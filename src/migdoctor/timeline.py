"""What the schema looks like after every statement of every revision, and where live stands.

A timeline is a set of deltas, not of states: each statement adds and removes facts, so branches
and merges stay a graph and any mixture of applied revisions is a sum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from migdoctor.facts import Certainty, FactKey

State = Literal["applied", "missing", "partly", "unknown"]
Rung = Literal["replay", "replay-without-data", "rebuilt-base", "footprint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One statement as it was sent during the replay, and what it did to the facts.

    `data` marks a statement that reads or changes rows and no schema (its delta is empty).
    `batch` names the table whose batch rebuild the statement belongs to: the statements of one
    rebuild come in no fixed order, so only their sum counts. `autocommit` says that it ran
    outside the transaction.
    """

    sql: str
    added: Mapping[FactKey, str] = field(default_factory=dict)
    removed: Mapping[FactKey, str] = field(default_factory=dict)
    data: bool = False
    batch: str | None = None
    autocommit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The smallest piece that can be told apart: one schema statement, or one batch rebuild."""

    statements: tuple[Recorded, ...]
    added: Mapping[FactKey, str]
    removed: Mapping[FactKey, str]

    @property
    def sql(self) -> str:
        return ";\n".join(s.sql for s in self.statements)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The recorded history of one project on one engine.

    `base` are facts that were there before the first revision: what every database of the engine
    has, what live has and no revision makes, and on rung "rebuilt-base" the rebuilt tables, with
    all that the revisions in `stands` make. `created` is what the models' own create_all() makes,
    None where nobody knows. `failed` is (revision, error) where the replay ended early; revisions
    after it are absent from `revisions`. `incomparable` are reasons why some facts cannot be
    compared, by "schema.table".
    """

    dialect: str
    rung: Rung
    revisions: Mapping[str, tuple[Recorded, ...]]
    base: Mapping[FactKey, str] = field(default_factory=dict)
    stands: frozenset[str] = frozenset()
    created: Mapping[FactKey, str] | None = None
    failed: tuple[str, str] | None = None
    incomparable: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def units(self) -> Mapping[str, tuple[Unit, ...]]:
        """The schema-changing units of every revision, in the order they ran."""
        return {id: tuple(_units(statements)) for id, statements in self.revisions.items()}

    @property
    def covered(self) -> frozenset[str]:
        """The revisions whose work is known, one by one or as a part of the base."""
        return self.stands | self.revisions.keys()

    @cached_property
    def touched(self) -> frozenset[FactKey]:
        """Every fact that history ever made or removed; drift outside it does not vote."""
        keys: set[FactKey] = set(self.base)
        for statements in self.revisions.values():
            for statement in statements:
                keys |= statement.added.keys() | statement.removed.keys()
        return frozenset(keys)

    @cached_property
    def odd(self) -> Mapping[FactKey, tuple[str | None, str | None]]:
        """Facts that create_all() and all revisions together make otherwise: (created, migrated).

        Products that make new databases from their models differ like that from older ones.
        Nothing where the end of the history is not known.
        """
        if self.created is None or self.failed or self.rung == "footprint":
            return {}
        end, created = self.state(self.revisions), self.created
        keys = {k for k in created.keys() | end.keys() if created.get(k) != end.get(k)}
        return {k: (created.get(k), end.get(k)) for k in keys}

    def as_migrated(self, live: Mapping[FactKey, str]) -> "Reading":
        """Live facts as they would be had revisions made what create_all() made."""
        facts, silent, made = dict(live), set[FactKey](), False
        for key, (created, migrated) in self.odd.items():
            found = live.get(key)
            if found != created:
                continue
            if found is None or (key, found) in self.ever:
                silent.add(key)
            else:
                made = True
                facts.pop(key)
                if migrated is not None:
                    facts[key] = migrated
        return Reading(facts=facts, silent=frozenset(silent if made else ()), created=made)

    @cached_property
    def ever(self) -> frozenset[tuple[FactKey, str]]:
        """Every fact that some state of the history has."""
        made = set(self.base.items())
        for statements in self.revisions.values():
            for statement in statements:
                made |= statement.added.items()
        return frozenset(made)

    def state(self, ids: Iterable[str], also: Iterable[Unit] = ()) -> dict[FactKey, str]:
        """The facts after all units of `ids` (a set closed under parents) and some units more."""
        wanted = set(ids)
        state = dict(self.base)
        for id, units in self.units.items():  # replay order, which is a topological order
            if id in wanted:
                for unit in units:
                    apply_unit(state, unit)
        for unit in also:
            apply_unit(state, unit)
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Live facts to be compared with a timeline.

    `created`: live has something that only the models' create_all() makes. `silent` are then facts
    that say nothing: they are as create_all() leaves them, and some revision may do that as well.
    """

    facts: Mapping[FactKey, str]
    silent: frozenset[FactKey]
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What of one revision is in the live schema. `units` follow `Timeline.units`."""

    id: str
    units: tuple[State, ...]

    @property
    def state(self) -> State:
        """applied or missing when all units that can be told are; unknown when none can."""
        told = {u for u in self.units if u != "unknown"}
        if not told:
            return "unknown"
        return told.pop() if len(told) == 1 else "partly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A revision of which the first `applied` of `total` units are in the live schema."""

    id: str
    applied: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the live schema stands.

    `located` are the last complete revisions (the heads of `applied`). `candidates` are revisions
    that could as well be located because their states are the same; `rivals` are revisions whose
    states differ and are just as near: with any of them the position is ambiguous. `partial` are
    revisions of which only a first part ran. `distance` counts facts touched by history in which
    the state differs from live; `margin` is how many changes by hand more lead to live from the
    next different state (None: there is no other). `state` are the facts that belong to the
    position.
    """

    located: tuple[str, ...]
    applied: frozenset[str]
    candidates: tuple[str, ...]
    rivals: tuple[str, ...]
    partial: tuple[Partial, ...]
    distance: int
    margin: int | None
    certainty: Certainty
    why: str
    state: Mapping[FactKey, str]
    footprints: Mapping[str, Footprint]


def apply_unit(state: dict[FactKey, str], unit: Unit) -> None:
    """Bring a state one unit forward, in place."""
    for key in unit.removed:
        state.pop(key, None)
    state.update(unit.added)


def _units(statements: Iterable[Recorded]) -> Iterable[Unit]:
    """Statements grouped: one batch rebuild is one unit, what changes no fact is none."""
    group: list[Recorded] = []
    for statement in statements:
        if group and statement.batch != group[0].batch:
            yield from _closed(group)
            group = []
        if statement.batch is not None:
            group.append(statement)
        elif statement.added or statement.removed:
            yield from _closed([statement])
    yield from _closed(group)


def _closed(group: list[Recorded]) -> Iterable[Unit]:
    """The unit of a group: its net effect, nothing when there is none."""
    added: dict[FactKey, str] = {}
    removed: dict[FactKey, str] = {}
    for statement in group:
        for key, detail in statement.removed.items():
            if key in added:
                del added[key]
            else:
                removed.setdefault(key, detail)
        added.update(statement.added)
    for key in [k for k, v in added.items() if removed.get(k) == v]:
        del added[key], removed[key]
    if added or removed:
        yield Unit(statements=tuple(group), added=added, removed=removed)
