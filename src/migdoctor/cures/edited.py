"""An applied revision that was edited: the text that was released, and that of today. Pure."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from migdoctor.cures import files
from migdoctor.cures.standing import comparable, named
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import FactKey, Version
from migdoctor.model import Observation
from migdoctor.timeline import Timeline


def released(past: Sequence[Version], now: str) -> Version | None:
    """The first version on this branch, if it goes up otherwise than the text of today."""
    return past[0] if past and not files.same_upgrade(past[0].text, now) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One applied revision and what its released text makes otherwise, as (fact, then, now).

    `facts` None: the old text could not be run, `why` says the reason. `then` and `now` are facts
    in which the live schema is as the one text makes it and not as the other.
    """

    id: str
    was: Version
    now: str
    facts: tuple[tuple[FactKey, str | None, str | None], ...] | None
    then_here: tuple[FactKey, ...] = ()
    now_here: tuple[FactKey, ...] = ()
    why: str = ""

    @property
    def difference(self) -> str:
        """The changed facts, one a line; without them the changed lines of the file."""
        if self.facts:
            return "\n".join(
                f"{named(key)}: {then or 'not there'} then, {now or 'not there'} now"
                for key, then, now in self.facts
            )
        before, after = self.was.text.splitlines(), self.now.splitlines()
        then, now = f"{self.was.path.name} (commit {self.was.commit})", "now"
        return "\n".join(difflib.unified_diff(before, after, then, now, lineterm="", n=1))


def edits(seen: Observation) -> list[Edit]:
    """Every recorded revision that goes up otherwise than when it was released, in order."""
    found = []
    applied = seen.history.closure(seen.stamped)
    for id in (i for i in seen.history.topological if i in applied and i in seen.versions):
        now = seen.texts.get(seen.history.by_id[id].path)
        was = released(seen.versions[id], now) if now is not None else None
        if was and now is not None and id not in seen.history.twins:
            found.append(_edit(seen, id, was, now))
    return found


def _edit(seen: Observation, id: str, was: Version, now: str) -> Edit:
    try:
        original, timeline = seen.edits
    except (NotObserved, NotApplicable) as blind:
        return Edit(id=id, was=was, now=now, facts=None, why=blind.why)
    if id not in original.units:
        error = original.failed[1] if original.failed else "it was not reached"
        return Edit(id=id, was=was, now=now, facts=None, why=f"the old text fails: {error}")
    then, today = _made(original, id), _made(timeline, id)
    known, live = comparable(seen), seen.schema.facts
    keys = sorted(k for k in then.keys() | today.keys() if then.get(k) != today.get(k))
    last = timeline.state(timeline.revisions)
    # What a later revision changes again says nothing of this one.
    telling = [k for k in keys if known(k) and last.get(k) == today.get(k)]
    return Edit(
        id=id,
        was=was,
        now=now,
        facts=tuple((key, then.get(key), today.get(key)) for key in keys),
        then_here=tuple(k for k in telling if live.get(k) == then.get(k)),
        now_here=tuple(k for k in telling if live.get(k) == today.get(k)),
    )


def _made(timeline: Timeline, id: str) -> dict[FactKey, str | None]:
    """The facts that a revision leaves behind; None for one that it removes."""
    made: dict[FactKey, str | None] = {}
    for unit in timeline.units[id]:
        made |= dict.fromkeys(unit.removed)
        made |= unit.added
    return made
