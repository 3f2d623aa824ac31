"""Where a database without a usable row is, and whether that is proof enough to write it down."""

from collections.abc import Sequence
from dataclasses import dataclass

from migdoctor.cures import files, standing, statements
from migdoctor.cures.rerun import listed
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.model import Cure, Finding, NeedsHuman, Observation, Remedy, Sql, Stamp

NOT_ON_FAITH = "never stamp head on faith"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`located` is proven when `why_not` is empty. `choices` are positions that look the same."""

    located: tuple[str, ...] = ()
    choices: tuple[tuple[str, ...], ...] = ()
    why_not: str = ""


def place(seen: Observation) -> Place:
    """The located revisions, if their whole footprint is there and nothing else fits as well.

    NotObserved or NotApplicable when there is no position.
    """
    position = seen.position
    try:
        told = standing.stand(seen)
    except (NotObserved, NotApplicable) as blind:
        return Place(why_not=blind.why)
    if seen.timeline.rung == "footprint":
        return Place(why_not=standing.second_hand(seen))
    if position.certainty == "unknown":
        near = dict.fromkeys((*position.located, *position.candidates, *position.rivals))
        return Place(why_not=f"{position.why}: {listed(list(near)) or 'no revision'}")
    if failed := standing.edge(seen):
        return Place(
            why_not=f"the schema is where the replay ended, before {failed} "
            f"({standing.why_not_replayed(seen, failed)}); whether it has gone further cannot be "
            "told"
        )
    if told.distance:
        found = standing.differences(seen, position.state)
        return Place(
            why_not=f"nearest is {listed(position.located) or 'the empty schema'}, but not all of "
            f"it is there: {standing.lines(found[:3])}"
        )
    if not position.located:
        return Place(
            why_not="nothing of the history is in the database: an upgrade from the first revision "
            "finds nothing in its way"
        )
    if odd := as_created(seen):
        return Place(
            choices=(position.located,),
            why_not=f"nearest is {listed(position.located)}, as create_all() of the models makes "
            f"it and its revisions do not: {standing.lines(odd[:3])}; a later revision may fail "
            "on that",
        )
    if choices := _choices(seen):
        return Place(
            choices=choices,
            why_not=f"the schema is the same at {' or '.join(map(listed, choices))}, and between "
            "them rows are changed or the schema goes back and forth",
        )
    return Place(located=position.located)


def as_created(seen: Observation) -> tuple[standing.Difference, ...]:
    """Facts of the history that live has as create_all() makes them, and not as revisions do.

    They tell where a database is that the product made from its models; they prove nothing.
    """
    found = standing.differences(seen, seen.position.state)
    return tuple(d for d in found if d.key in seen.timeline.touched)


def _choices(seen: Observation) -> tuple[tuple[str, ...], ...]:
    """Positions with the same schema, if it matters which of them is recorded."""
    position, history = seen.position, seen.history
    found = [position.located]
    for id in position.candidates:
        between = history.closure((id,)) ^ position.applied
        if id in position.located or not any(seen.timeline.revisions.get(r) for r in between):
            continue
        others = tuple(
            head
            for head in position.located
            if head not in history.closure((id,)) and id not in history.closure((head,))
        )
        found.append((*others, id))
    return tuple(found) if len(found) > 1 else ()


def bridge(
    finding: Finding, seen: Observation, values: Sequence[str], *, default: bool
) -> Remedy | None:
    """A revision that does nothing, under the one unknown id and on top of the located place."""
    found = place(seen)
    known = seen.history.closure(seen.stamped)
    after = [id for id in found.located if id not in known]
    if len(values) != 1 or len(after) != 1:
        return None
    return files.pass_through(finding, seen, values[0], after[0], default)


def record(
    finding: Finding,
    seen: Observation,
    *,
    table: tuple[str, str],
    before: Sequence[str | None],
    first: tuple[Sql, ...] = (),
    default: bool = True,
) -> tuple[Cure, ...]:
    """Write the located revisions down in place of the rows that say nothing.

    A tie is refused with the candidates named; each of them can be chosen by its id.
    """
    found = place(seen)

    def cure(key: str, ids: tuple[str, ...], by_default: bool) -> Remedy:
        after = statements.recorded_as(ids, seen)
        return Remedy(
            finding=finding,
            key=key,
            title=f"record {listed(ids)}, where the schema is"
            if key == "located"
            else f"record {listed(ids)}, if you know that it is there",
            steps=(*first, Stamp(table=table, before=tuple(before), after=after)),
            default=by_default,
        )

    if found.located:
        return (cure("located", found.located, default),)
    human = NeedsHuman(finding=finding, why=f"{found.why_not}; {NOT_ON_FAITH}")
    return (human, *(cure(ids[-1], ids, False) for ids in found.choices))
