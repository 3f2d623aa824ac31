"""timeline x live facts -> Position: where the live schema stands. Pure.

The distance of a state is the number of facts in which it differs from the live schema. It is a
sum over applied units, so the nearest state of a graph of revisions is the cheapest set of units
that is closed under "must have run before": a minimum cut. Facts that no revision ever touches
are the same for every state and do not vote.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from migdoctor.facts import FactKey
from migdoctor.graph import History
from migdoctor.model import Certainty
from migdoctor.timeline import Timeline, Unit

State = Literal["applied", "missing", "partly", "unknown"]
INFINITE = 1 << 60


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

    `located` are the last complete revisions (the heads of what is applied). `candidates` are all
    revisions that could as well be located: their states are the same. `rivals` are revisions
    whose states differ and are just as near; with any of them the position is ambiguous.
    `distance` counts facts touched by history in which the state differs from live, `margin` is
    how many more the next different state differs in (None: there is no other state).
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
    missing: Mapping[FactKey, str]
    extra: Mapping[FactKey, str]
    footprints: Mapping[str, Footprint]


def locate(
    timeline: Timeline, history: History, live: Mapping[FactKey, str], recorded: Iterable[str]
) -> Position:
    """The state of the timeline that is nearest to the live facts.

    `recorded` are the rows of the version table that the history knows; they break ties and
    strengthen or weaken the certainty, and never win against the schema.
    """
    chart = _Chart(timeline, history, live)
    claimed = history.closure(recorded)
    least, most = chart.nearest()
    chosen = chart.tie(claimed, least, most)
    return _position(chart, claimed, least, most, chosen)
