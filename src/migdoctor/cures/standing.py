"""How the record (version rows) and the schema (located position) stand to each other. Pure.

One reading for all checks of the position, so that one cause is never reported twice: what was
recorded and never ran, what ran and is not recorded, what ran in part, and the facts that the
schema should then have.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from migdoctor import rows
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Certainty, Drift, FactKey
from migdoctor.model import Evidence, Observation
from migdoctor.timeline import Partial, State, Unit

Verdict = Literal[
    "at-head",
    "behind",
    "ahead",
    "stamped-past",
    "stamped-behind",
    "partial",
    "diverged",
    "unstamped",
    "empty",
    "unknown",
]
NOT_DRIFT = {"schema", "extension"}  # kinds that others make as a matter of course
SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One reading of record and schema.

    Recorded and not in the schema: `past` (nothing after them ran), `skipped` (something after
    them did) and `shadowed` (ids that two files claim). `behind` ran and is not recorded. All in
    upgrade order, without revisions that change nothing in the schema. `state` are the facts that
    this reading expects, `distance` how many facts of the history differ from it.
    """

    verdict: Verdict
    certainty: Certainty
    located: tuple[str, ...]
    past: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    partial: tuple[Partial, ...] = ()
    state: Mapping[FactKey, str]
    distance: int

    @property
    def exact(self) -> bool:
        """A cure may act on it unasked: every fact of the history is as this reading says."""
        return self.distance == 0 and self.certainty != "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact in which the live schema differs. `wanted` or `found` None: it is not there."""

    key: FactKey
    wanted: str | None
    found: str | None

    @property
    def text(self) -> str:
        """One line for people."""
        what = named(self.key)
        if self.found is None:
            return f"{what} is missing: {self.wanted}"
        if self.wanted is None:
            return f"{what} is there, the history has none here: {self.found}"
        return f"{what} is {self.found}, the history makes it {self.wanted}"


def named(key: FactKey) -> str:
    """A fact's name for people, without SQLite's `main` and PostgreSQL's `public`."""
    schema = "" if key.schema in ("main", "public") else key.schema
    return f"{key.kind} {'.'.join(part for part in (schema, key.table, key.name) if part)}"


def reading(seen: Observation) -> Standing | None:
    """How record and schema stand to each other; None where the schema was not located."""
    if not all(seen.has(name) for name in ("position", "timeline", "history", "version_tables")):
        return None
    try:
        return stand(seen)
    except (NotObserved, NotApplicable):
        return None


def is_located(seen: Observation, told: Standing) -> bool:
    """Whether the position may be named at all."""
    return told.certainty != "unknown" and not edge(seen)


def second_hand(seen: Observation) -> str:
    """Why the timeline is no proof of what ran, '' when it is.

    A history that was pieced together says what revisions would do, not that the product made its
    databases that way: good enough to show, never enough to call a healthy database sick.
    """
    if seen.timeline.rung in ("rebuilt-base", "footprint"):
        return (
            f"the history cannot be replayed from nothing, only pieced together "
            f"({seen.timeline.rung})"
        )
    return ""


def proven(seen: Observation) -> Standing:
    """The reading, where it may call a database sick.

    NotApplicable when the timeline is second-hand, else as `stand`.
    """
    if seen.position and (why := second_hand(seen)):
        raise NotApplicable("position", why)
    return stand(seen)


@functools.lru_cache(maxsize=2)  # half of the checks ask for it, of the one observation
def stand(seen: Observation) -> Standing:
    """The reading of what was seen. NotObserved without a position, or while a table is lost."""
    position = seen.position
    if lost := _lost(seen):
        raise NotObserved(
            "position", f"only a leftover holds table {lost}: treat that first (MD302, MD309)"
        )
    claimed = seen.history.closure(seen.stamped) & seen.timeline.units.keys()
    gap = _gap(seen, claimed)
    gone = gap or frozenset(_weighty(seen, claimed - position.applied))
    if gap:
        state = seen.timeline.state(claimed - gap)
        certainty: Certainty = "likely" if not distance(seen, state) else position.certainty
        located = _located(seen, claimed - gap)
        partial: tuple[Partial, ...] = ()
        behind: tuple[str, ...] = ()
    else:
        state, certainty, located = dict(position.state), position.certainty, position.located
        partial = position.partial
        behind = _ordered(seen, _weighty(seen, position.applied - claimed))
    if certainty == "unknown":  # nothing may be said of single revisions
        gone, partial, behind = frozenset(), (), ()
    gone -= {p.id for p in partial}
    shadowed = frozenset(id for id in gone if _rivals_of(seen, id))
    told = gone - shadowed
    if told and made_by_models(seen):
        told, partial, state = frozenset(), (), seen.timeline.state(claimed)
    elif partial and made_by_models(seen):
        partial, state = (), seen.timeline.state(claimed)
    ran = claimed - gone
    skipped = frozenset(
        id for id in told if any(id in seen.history.closure((later,)) for later in ran)
    )
    standing = Standing(
        verdict="unknown",
        certainty=certainty,
        located=located,
        past=_ordered(seen, told - skipped),
        skipped=_ordered(seen, skipped),
        shadowed=_ordered(seen, shadowed),
        behind=behind if seen.stamped else (),
        partial=partial,
        state=state,
        distance=distance(seen, state),
    )
    return _judged(seen, standing)


def _judged(seen: Observation, standing: Standing) -> Standing:
    values = {name: getattr(standing, name) for name in Standing.__dataclass_fields__}
    return Standing(**(values | {"verdict": _verdict(seen, standing)}))


def _verdict(seen: Observation, standing: Standing) -> Verdict:
    if not seen.rows:
        return "unstamped" if seen.schema.tables else "empty"
    if any(row.kind != "known" for row in rows.rows(seen)):
        return "ahead" if all_newer(seen) else "diverged"
    gone = standing.past or standing.skipped or standing.shadowed
    if standing.certainty == "unknown" or edge(seen):
        return "unknown"
    if gone and standing.behind:
        return "diverged"
    if gone:
        return "stamped-past"
    if standing.partial:
        return "partial"
    if standing.behind:
        return "stamped-behind"
    return "at-head" if seen.at_head else "behind"


# --- parts of the reading -----------------------------------------------------------------------


def recognised(seen: Observation) -> bool:
    """Every row names a revision of some file; otherwise MD404 to MD410 speak first."""
    return all(row.kind == "known" for row in rows.rows(seen))


def agrees(seen: Observation) -> bool:
    """The located state is the recorded one, revisions that change nothing in the schema apart."""
    claimed = seen.history.closure(seen.stamped) & seen.timeline.units.keys()
    odd = _weighty(seen, claimed ^ seen.position.applied)
    return bool(seen.rows) and not odd and not seen.position.partial


def model_drifts(seen: Observation) -> tuple[Drift, ...]:
    """Live against the models, without the indexes that an interrupted build left (MD303)."""
    weak = {i.key.name for i in seen.health.indexes} if seen.has("health") else set()
    weak -= {key.name for key in seen.schema.as_meant if key.kind == "index"}
    return tuple(
        d for d in seen.models.drifts if not weak.intersection(re.findall(r"[\w$]+", d.text))
    )


def edge(seen: Observation) -> str:
    """The revision that was not replayed and that the database may have had, or ''.

    What it and later ones make is not known, so nobody can say whether it is there: unless the
    record, which agrees with the schema, says that it has not run.
    """
    claimed, applied = seen.history.closure(seen.stamped), seen.position.applied
    sure = agrees(seen)
    for id in seen.history.topological:
        if id in seen.timeline.covered or (sure and id not in claimed):
            continue
        ready = all(p in applied for p in seen.history.parents[id])
        if ready and not any(f in applied for f in seen.history.followers[id]):
            return id
    return ""


def why_not_replayed(seen: Observation, id: str) -> str:
    """The error of the replay at a revision."""
    if seen.timeline.failed and seen.timeline.failed[0] == id:
        return seen.timeline.failed[1]
    return "it could not be replayed"


def made_by_models(seen: Observation) -> bool:
    """At head by its record and as the models want: what it lacks of the history is drift.

    A product that calls create_all() and stamps head makes every database like that.
    """
    return seen.at_head and seen.has("models") and not seen.models.drifts


def adopted(seen: Observation) -> str:
    """The head, where it is a revision that records what the database has, and the models do not.

    A second one would record the same twice. It is known by its message, the draft's first line.
    """
    if seen.models.adopt is None:
        return ""
    title = seen.models.adopt.text.strip().partition("\n")[0].strip("\"' ")
    return next((h for h in seen.history.heads if seen.history.by_id[h].message == title), "")


def all_newer(seen: Observation) -> bool:
    """Every row that no file knows shows that the database is newer than this code (MD410)."""
    values = [row.value for row in rows.rows(seen) if row.kind != "known"]
    return bool(values) and all(
        v is not None and (rows.newer(v, seen) or beyond_heads(seen)) for v in values
    )


def beyond_heads(seen: Observation) -> tuple[Difference, ...]:
    """Tables and columns that no revision makes, where all that the revisions make is there.

    With a row that no file knows, that is a database which goes beyond this code.
    """
    if not seen.has("position") or seen.position.distance or seen.position.certainty == "unknown":
        return ()
    weighty = _weighty(seen, seen.history.by_id.keys() & seen.timeline.units.keys())
    if seen.timeline.failed or seen.position.partial or not weighty <= seen.position.applied:
        return ()
    return foreign(seen, seen.position.state)


def _lost(seen: Observation) -> str:
    if seen.dialect != "sqlite" or not seen.has("tmp_tables"):
        return ""
    return ", ".join(t.original for t in seen.tmp_tables if t.original_rows is None)


def _rivals_of(seen: Observation, id: str) -> bool:
    """Whether other files, with other content, claim the id."""
    return len({r.sha or str(r.path) for r in seen.history.twins.get(id, ())}) > 1


def _weighty(seen: Observation, ids: Iterable[str]) -> frozenset[str]:
    """Those of `ids` that change the schema."""
    return frozenset(id for id in ids if seen.timeline.units.get(id))


def _ordered(seen: Observation, ids: Iterable[str]) -> tuple[str, ...]:
    wanted = set(ids)
    return tuple(id for id in seen.timeline.units if id in wanted)


def _located(seen: Observation, ran: frozenset[str]) -> tuple[str, ...]:
    """The last revisions of which everything before ran as well."""
    whole = {id for id in ran if seen.history.closure((id,)) & seen.timeline.units.keys() <= ran}
    followed = {p for id in whole for p in seen.history.parents[id]}
    return _ordered(seen, whole - followed)


def _gap(seen: Observation, claimed: frozenset[str]) -> frozenset[str]:
    """Recorded revisions that are wholly missing, if without them record and schema fit better.

    A state of the timeline has no gaps, so the nearest one cannot say this (incident 26).
    """
    if not seen.position.distance or not claimed:
        return frozenset()
    live = seen.timeline.as_migrated(seen.schema.as_meant).facts
    whole = seen.timeline.state(claimed)
    known = comparable(seen)
    gone = frozenset(
        id for id in claimed if state_of(seen.timeline.units[id], live, whole, known) == "missing"
    )
    if not gone:
        return gone
    left = distance(seen, seen.timeline.state(claimed - gone))
    sure = not left or seen.position.certainty != "unknown"
    return gone if sure and left < seen.position.distance else frozenset()


def state_of(
    units: Iterable[Unit],
    live: Mapping[FactKey, str],
    state: Mapping[FactKey, str] | None,
    known: Callable[[FactKey], bool],
) -> State:
    """What of some units shows in `live`; with `state`, only what should still show there."""
    signs: set[bool] = set()
    for unit in units:
        for key, detail in unit.added.items():
            if known(key) and (state is None or state.get(key) == detail):
                signs.add(live.get(key) == detail)
        for key, detail in unit.removed.items():
            if known(key) and key not in unit.added and (state is None or key not in state):
                signs.add(live.get(key) != detail)
    if not signs:
        return "unknown"
    return "partly" if len(signs) == 2 else "applied" if signs.pop() else "missing"


# --- live against a state -----------------------------------------------------------------------


def comparable(seen: Observation) -> Callable[[FactKey], bool]:
    """Whether a fact of live can be compared: read whole, and not in need of what we lack."""
    shut = {*seen.schema.unreadable, *seen.timeline.incomparable}
    return lambda key: f"{key.schema}.{key.table}" not in shut


def distance(seen: Observation, state: Mapping[FactKey, str]) -> int:
    """Facts touched by history in which live differs from `state`, a changed one counted twice."""
    read, known = seen.timeline.as_migrated(seen.schema.as_meant), comparable(seen)
    return sum(
        (key in state) + (key in read.facts)
        for key in seen.timeline.touched - read.silent
        if known(key) and state.get(key) != read.facts.get(key)
    )


def differences(seen: Observation, state: Mapping[FactKey, str]) -> tuple[Difference, ...]:
    """Every comparable fact in which live differs from `state`, parts of a table under the table.

    What no revision ever touched counts only in schemas that the history uses.
    """
    live, known = seen.schema.as_meant, comparable(seen)
    homes = {key.schema for key in seen.timeline.touched}
    keys = {k for k in state.keys() | live.keys() if known(k) and state.get(k) != live.get(k)}
    keys = {
        k
        for k in keys
        if k in seen.timeline.touched or (k.schema in homes and k.kind not in NOT_DRIFT)
    }
    whole = {
        (k.schema, k.table) for k in keys if k.kind == "table" and (k not in live or k not in state)
    }
    return tuple(
        Difference(key=key, wanted=state.get(key), found=live.get(key))
        for key in sorted(keys)
        if key.kind == "table" or (key.schema, key.table) not in whole
    )


def foreign(seen: Observation, state: Mapping[FactKey, str]) -> tuple[Difference, ...]:
    """Tables and columns that no revision of this code makes."""
    return tuple(
        d
        for d in differences(seen, state)
        if d.key not in seen.timeline.touched and d.key.kind in ("table", "column")
    )


def lines(found: Iterable[Difference]) -> str:
    """Differences, one a line, cut where there are too many."""
    texts = [d.text for d in found]
    more = [f"... and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return "\n".join(texts[:SHOWN] + more)


def how_known(seen: Observation) -> Evidence:
    """How the position is known, for the evidence of a finding."""
    timeline, position = seen.timeline, seen.position
    units = sum(map(len, timeline.units.values()))
    margin = "no other state" if position.margin is None else f"the next state {position.margin}"
    parts = "".join(f", {p.applied} of {p.total} of {p.id}" for p in position.partial)
    return Evidence(
        title=f"the schema against {units} steps of {len(timeline.revisions)} revisions "
        f"({timeline.rung})",
        text=f"nearest: {', '.join(position.located) or 'before the first revision'}{parts}; "
        f"{position.distance} facts of the history differ, {margin} further\n"
        f"{position.certainty}: {position.why}",
    )
