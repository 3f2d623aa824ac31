"""timeline x live facts -> Position: where the live schema stands. Pure.

The nearest state is the one from which the fewest changes by hand lead to the live schema. Their
number is a sum over facts, and so over applied units: the nearest state of a graph of revisions is
the cheapest set of units that is closed under "must have run before", a minimum cut. Facts that no
revision ever touches are the same for every state and do not vote.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from migdoctor.facts import Certainty, FactKey
from migdoctor.graph import History
from migdoctor.mincut import cheapest
from migdoctor.timeline import Footprint, Partial, Position, State, Timeline, Unit


def locate(
    timeline: Timeline,
    history: History,
    live: Mapping[FactKey, str],
    recorded: Iterable[str],
    unknown_tables: frozenset[tuple[str, str]] = frozenset(),
) -> Position:
    """The state of the timeline that is nearest to the live facts.

    `recorded` are the rows of the version table that the history knows; they break ties and
    strengthen or weaken the certainty, and never win against the schema. Facts of
    `unknown_tables` (schema, table) were not read and count nowhere.
    """
    chart = _Chart(timeline, history, live, unknown_tables)
    claimed = history.closure(recorded)
    least, most = chart.nearest(frozenset())
    chosen, _ = chart.nearest(claimed, tie=True)
    return _position(chart, claimed, (least, chosen, most))


# --- the chart: lines of revisions and what each step of them is worth --------------------------

Cut = tuple[int, ...]  # per line, how many of its items are applied


class _Chart:
    """Revisions contracted to lines (no branch inside), their items with weights.

    An item is a unit, or a revision without units (weight 0). A weight is what applying the item
    changes in the effort by hand that is left to explain live.
    """

    def __init__(
        self,
        timeline: Timeline,
        history: History,
        live: Mapping[FactKey, str],
        unknown: frozenset[tuple[str, str]],
    ) -> None:
        self.timeline, self.history = timeline, history
        self.read = timeline.as_migrated(live)
        self.live = {k: v for k, v in self.read.facts.items() if (k.schema, k.table) not in unknown}
        self.unknown = unknown
        self.gone = _gone(timeline, self.live)
        self.parents = {
            id: tuple(p for p in history.parents.get(id, ()) if p in timeline.units)
            for id in timeline.units
        }
        self.lines = _lines(self.parents)
        self.line_of = {id: n for n, line in enumerate(self.lines) for id in line}
        self.items: list[list[tuple[str, Unit | None]]] = [
            [(id, unit) for id in line for unit in (timeline.units[id] or (None,))]
            for line in self.lines
        ]
        self.weights = [[self.weight(unit) for _id, unit in items] for items in self.items]
        self.before = [
            tuple({self.line_of[p] for p in self.parents[line[0]]}) for line in self.lines
        ]
        self.after: list[list[int]] = [[] for _ in self.lines]
        for number, needed in enumerate(self.before):
            for other in needed:
                self.after[other].append(number)

    def known(self, key: FactKey) -> bool:
        return (key.schema, key.table) not in self.unknown and key not in self.read.silent

    def weight(self, unit: Unit | None) -> int:
        """Change of the effort: a fact made that live has brings it nearer, and so on."""
        if unit is None:
            return 0
        return sum(
            self.effort(key, unit.added.get(key)) - self.effort(key, unit.removed.get(key))
            for key in unit.added.keys() | unit.removed.keys()
            if self.known(key)
        )

    def effort(self, key: FactKey, detail: str | None) -> int:
        """What it takes by hand to come from a state that has `detail` there to what live has."""
        found = self.live.get(key)
        if found == detail:
            return 0
        if found is None:  # taken away; with a table goes all that is its own
            return 0 if (key.schema, key.table) in self.gone and key.kind not in _RELATIONS else 1
        # What is there speaks louder than what is missing: people drop and change things by hand
        # more often than they make just what a revision makes.
        return 1 if detail is not None else 2

    def nearest(self, claimed: frozenset[str], *, tie: bool = False) -> tuple[Cut, Cut]:
        """The least and the greatest cut of smallest effort.

        With `tie`, of equally near cuts those that agree most with the claimed revisions.
        """
        scale = 2 * sum(map(len, self.items)) + 1 if tie else 1
        weights, before = [], []
        prefixes = []
        for number, (items, plain) in enumerate(zip(self.items, self.weights, strict=True)):
            values = [
                w * scale + ((-1 if id in claimed else 1) if tie else 0)
                for (id, _unit), w in zip(items, plain, strict=True)
            ]
            sums = [0, *accumulate(values)]
            prefixes.append(sums)
            # Two nodes a line: its best beginning, and the rest, which can only make it worse.
            weights += [min(sums), sums[-1] - min(sums)]
            before += [[2 * p + 1 for p in self.before[number]], [2 * number]]
        least, most = cheapest(weights, before)
        return (
            tuple(_length(sums, least, n, first=True) for n, sums in enumerate(prefixes)),
            tuple(_length(sums, most, n, first=False) for n, sums in enumerate(prefixes)),
        )

    def complete(self, cut: Cut) -> frozenset[str]:
        """Revisions of which every item is applied."""
        done: set[str] = set()
        for items, length in zip(self.items, cut, strict=True):
            done |= {id for id, _unit in items[:length]} - {id for id, _unit in items[length:]}
        return frozenset(done)

    def begun(self, cut: Cut) -> list[tuple[str, int, int]]:
        """(revision, items applied, items) of revisions of which only a part is applied."""
        found = []
        for items, length in zip(self.items, cut, strict=True):
            if 0 < length < len(items) and items[length - 1][0] == items[length][0]:
                id = items[length][0]
                total = sum(other == id for other, _unit in items)
                found.append((id, sum(other == id for other, _ in items[:length]), total))
        return found

    def state(self, cut: Cut) -> dict[FactKey, str]:
        """The facts at a cut."""
        also = [
            unit
            for id, applied, _total in self.begun(cut)
            for unit in self.timeline.units[id][:applied]
        ]
        return self.timeline.state(self.complete(cut), also)

    def told(self, cut: Cut) -> dict[FactKey, str]:
        """The facts at a cut by which it can be told from others."""
        return {k: v for k, v in self.state(cut).items() if self.known(k)}

    def moves(self, cut: Cut) -> Iterator[tuple[int, int, int, bool]]:
        """Every cut that differs in one line only, as (line, length, further, differs).

        `further` is the change of the effort, `differs` whether the state is another one. Each
        line is walked outwards from where it is cut, so that this is linear in the units.
        """
        for number, weights in enumerate(self.weights):
            if any(cut[n] for n in self.after[number]):
                continue  # what follows needs the whole line
            if any(cut[p] < len(self.items[p]) for p in self.before[number]):
                continue  # it cannot begin yet
            here, units = cut[number], [unit for _id, unit in self.items[number]]
            for forward in (True, False):
                net, further = _Net(), 0
                for place in range(here, len(units)) if forward else range(here - 1, -1, -1):
                    if unit := units[place]:
                        net.add(unit) if forward else net.take_back(unit)
                    further += weights[place] if forward else -weights[place]
                    differs = any(map(self.known, net.changed))
                    yield number, place + 1 if forward else place, further, differs


class _Net:
    """What a walk over units has changed in all; `changed` are the facts that differ."""

    def __init__(self) -> None:
        self.first: dict[FactKey, str | None] = {}
        self.changed: set[FactKey] = set()

    def add(self, unit: Unit) -> None:
        """Apply a unit."""
        for key, detail in unit.removed.items():
            self._set(key, detail, unit.added.get(key))
        for key, detail in unit.added.items():
            self._set(key, None, detail)

    def take_back(self, unit: Unit) -> None:
        """Undo a unit."""
        for key, detail in unit.added.items():
            self._set(key, detail, unit.removed.get(key))
        for key, detail in unit.removed.items():
            if key not in unit.added:
                self._set(key, None, detail)

    def _set(self, key: FactKey, old: str | None, new: str | None) -> None:
        self.first.setdefault(key, old)
        (self.changed.discard if self.first[key] == new else self.changed.add)(key)


_RELATIONS = ("table", "view", "matview")


def _gone(timeline: Timeline, live: Mapping[FactKey, str]) -> frozenset[tuple[str, str]]:
    """(schema, name) of the relations that the history makes and live has not."""
    made = {(k.schema, k.table) for k in timeline.touched if k.kind in _RELATIONS}
    return frozenset(made - {(k.schema, k.table) for k in live if k.kind in _RELATIONS})


def _length(sums: Sequence[int], chosen: frozenset[int], line: int, *, first: bool) -> int:
    """How many items of a line a closed set of nodes stands for."""
    if 2 * line + 1 in chosen:
        return len(sums) - 1
    if 2 * line not in chosen:
        return 0
    best = min(sums)
    return sums.index(best) if first else len(sums) - 1 - sums[::-1].index(best)


def _lines(parents: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Revisions in lines: each but the first has one parent, whose only follower it is."""
    followers: dict[str, list[str]] = {id: [] for id in parents}
    for id, before in parents.items():
        for parent in before:
            followers[parent].append(id)
    lines: list[list[str]] = []
    home: dict[str, list[str]] = {}
    for id, before in parents.items():  # replay order: parents come first
        if len(before) == 1 and len(followers[before[0]]) == 1:
            home[id] = home[before[0]]
            home[id].append(id)
        else:
            home[id] = [id]
            lines.append(home[id])
    return lines


# --- from cuts to a position --------------------------------------------------------------------


def _position(chart: _Chart, claimed: frozenset[str], cuts: tuple[Cut, Cut, Cut]) -> Position:
    least, chosen, most = cuts
    applied = chart.complete(chosen)
    state = chart.state(chosen)
    same, rivals, margin = _alternatives(chart, chosen)
    if chart.told(least) != chart.told(most) and not rivals:
        rivals = _heads(chart, chart.complete(least) ^ chart.complete(most))
        margin = 0
    begun = chart.begun(chosen)
    distance = _distance(chart, state)
    half = tuple(id for id, _n, _total in begun)
    certainty, why = _certainty(chart, claimed, applied, half, distance, margin, rivals)
    located = _heads(chart, applied | chart.timeline.stands)
    return Position(
        located=located,
        applied=applied | chart.timeline.stands,
        candidates=tuple(dict.fromkeys((*located, *same))),
        rivals=rivals,
        partial=tuple(Partial(id=id, applied=n, total=total) for id, n, total in begun),
        distance=distance,
        margin=margin,
        certainty=certainty,
        why=why,
        state=state,
        footprints=footprints(chart.timeline, chart.live, applied, state),
    )


def _alternatives(
    chart: _Chart, chosen: Cut
) -> tuple[tuple[str, ...], tuple[str, ...], int | None]:
    """Revisions of equal states, revisions of equally near other states, and the margin."""
    same: list[str] = []
    rivals: list[str] = []
    margin: int | None = None
    for line, length, further, differs in chart.moves(chosen):
        if differs:
            margin = further if margin is None else min(margin, further)
        if further == 0:
            (rivals if differs else same).extend(_tips(chart, line, length))
    return tuple(dict.fromkeys(same)), tuple(dict.fromkeys(rivals)), margin


def _tips(chart: _Chart, line: int, length: int) -> tuple[str, ...]:
    """The revision that a line cut there ends with, or what came before the line."""
    if length:
        return (chart.items[line][length - 1][0],)
    first = chart.lines[line][0]
    return tuple(p for p in chart.history.parents.get(first, ()) if p in chart.timeline.covered)


def _heads(chart: _Chart, ids: frozenset[str]) -> tuple[str, ...]:
    """Those of `ids` that nothing else of them follows, in replay order."""
    followed: set[str] = set()
    for id in reversed(chart.history.topological):  # also through revisions that are not known
        if id in ids or id in followed:
            followed.update(chart.history.parents[id])
    order = [*sorted(chart.timeline.stands), *chart.parents]
    return tuple(id for id in order if id in ids and id not in followed)


def _distance(chart: _Chart, state: Mapping[FactKey, str]) -> int:
    """Facts touched by history in which state and live differ, a changed one counted twice."""
    keys = [k for k in chart.timeline.touched if chart.known(k)]
    return sum(
        (key in state) + (key in chart.live)
        for key in keys
        if state.get(key) != chart.live.get(key)
    )


def _certainty(
    chart: _Chart,
    claimed: frozenset[str],
    applied: frozenset[str],
    half: tuple[str, ...],
    distance: int,
    margin: int | None,
    rivals: tuple[str, ...],
) -> tuple[Certainty, str]:
    """The word and the rule behind it.

    An exact match alone proves that the schema is as at that state, not how it came there: a
    hand-made drop of the newest objects looks the same. So *certain* takes two witnesses, the
    schema and the record, and a schema in which nobody has made anything by hand; and no revision
    that only began, of which somebody may as well have taken back the end.
    """
    timeline = chart.timeline
    if rivals or margin == 0:
        return "unknown", "ambiguous: different states are equally near"
    # What is applied on the same line has the base below it; that of another line proves nothing.
    unproven = timeline.stands - chart.history.closure(applied)
    older = bool(claimed) and not unproven <= claimed
    if unproven and (older or (distance and not applied)):
        few = "1 revision" if len(timeline.stands) == 1 else f"{len(timeline.stands)} revisions"
        return "unknown", (
            f"what is known begins with {few} done at once; the database may be older than that"
        )
    if distance:
        return "likely", f"the nearest state still differs in {distance} facts that history touches"
    if timeline.rung == "footprint":
        return "likely", f"the timeline is second-hand ({timeline.rung})"
    if timeline.failed:
        return "likely", f"the replay ended at {timeline.failed[0]}"
    weighty = {id for id in (claimed & timeline.units.keys()) ^ applied if timeline.units[id]}
    made = ", as create_all() of the models makes it" if chart.read.created else ""
    if weighty:
        return "likely", f"the schema is exactly as at this state{made}, but the record disagrees"
    if half:
        return "likely", (
            f"the schema is exactly as at this state{made}, and the record agrees; that {half[0]} "
            "went no further, or was taken back by hand up to there, looks the same"
        )
    if foreign := _foreign(chart):
        return "likely", (
            f"all of this state is there and the record agrees, but {foreign} facts more are there "
            "that no revision makes"
        )
    return "certain", f"the schema is exactly as at this state{made}, and the record agrees"


def _foreign(chart: _Chart) -> int:
    """How many facts live has that the history knows nothing of."""
    return sum(
        chart.known(key) and key not in chart.timeline.touched and key.kind not in _NO_SIGN
        for key in chart.live
    )


_NO_SIGN = ("schema", "extension")  # others make them as a matter of course


def footprints(
    timeline: Timeline,
    live: Mapping[FactKey, str],
    applied: frozenset[str],
    state: Mapping[FactKey, str],
) -> dict[str, Footprint]:
    """For every revision, which of its units show in the live schema.

    For applied revisions only what later ones left standing is evidence; for the others, all they
    would make or remove.
    """
    return {
        id: Footprint(
            id=id,
            units=tuple(
                _unit_state(unit, live, state if id in applied else None) for unit in units
            ),
        )
        for id, units in timeline.units.items()
    }


def _unit_state(
    unit: Unit, live: Mapping[FactKey, str], state: Mapping[FactKey, str] | None
) -> State:
    signs = [
        live.get(key) == detail
        for key, detail in unit.added.items()
        if state is None or state.get(key) == detail
    ]
    signs += [
        live.get(key) != detail
        for key, detail in unit.removed.items()
        if key not in unit.added and (state is None or key not in state)
    ]
    if not signs:
        return "unknown"
    return "applied" if all(signs) else "partly" if any(signs) else "missing"
