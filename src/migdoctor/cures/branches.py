"""Do the branches of a history commute? What each head has of its own, and both orders compared.

Pure: the orders were replayed by `observe`. A shadow has no rows, so rows are compared by the names
in the statements that change them, and what cannot be told counts as a difference.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migdoctor.cures.standing import named
from migdoctor.errors import NotObserved
from migdoctor.graph import History
from migdoctor.model import Evidence, Observation
from migdoctor.timeline import Timeline

_WRITES = re.compile(
    r"\b(?:update|insert\s+into|delete\s+from|merge\s+into)\s+(?:only\s+)?([\w.\"]+)", re.IGNORECASE
)
SHOWN = 8


def own(history: History, heads: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What no other of `heads` has, for each of them, in upgrade order."""
    reached = {head: history.closure((head,)) for head in heads}
    return {
        head: tuple(
            id
            for id in history.topological
            if id in reached[head] and not any(id in reached[o] for o in heads if o != head)
        )
        for head in heads
    }


def order(history: History, heads: Sequence[str], base: Sequence[str]) -> tuple[str, ...]:
    """All revisions with the branches one after the other, as in `heads`.

    What they share comes first, what follows them last; else in the order of `base`.
    """
    blocks = own(history, heads)
    mine = {id for block in blocks.values() for id in block}
    shared = history.closure(heads) - mine
    place = {id: n for n, id in enumerate(dict.fromkeys((*base, *history.topological)))}
    after = history.by_id.keys() - mine - shared
    return (
        *sorted(shared, key=place.__getitem__),
        *(id for head in heads for id in sorted(blocks[head], key=place.__getitem__)),
        *sorted(after, key=place.__getitem__),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two orders of the branches. `why` says in a sentence what was found, `lines` show it.

    `fails` are heads whose branch fails when it comes after the others.
    """

    commute: bool
    why: str
    lines: tuple[str, ...]
    fails: frozenset[str] = frozenset()

    @property
    def short(self) -> str:
        """One line: what was found, and the first thing that shows it."""
        return "; ".join((self.why, *self.lines[:1]))

    @property
    def evidence(self) -> Evidence:
        return Evidence(title="both orders, on the shadow", text="\n".join((self.why, *self.lines)))


def compare(seen: Observation, heads: Sequence[str]) -> Comparison:
    """Both orders that were replayed. NotObserved or NotApplicable where they were not."""
    first, second = seen.orders
    blocks = own(seen.history, heads)
    whose = {id: head for head, block in blocks.items() for id in block}
    both = _touched_by_both(first, second, blocks)
    shared = (f"both touch {', '.join(both)}",) if both else ("they touch different objects",)
    for made in (first, second):
        if made.failed and made.failed[0] not in whose:
            why = f"the history cannot be replayed: {made.failed[0]} fails, {made.failed[1]}"
            raise NotObserved("orders", why)
    failed = [_failure(made, whose) for made in (first, second) if made.failed]
    if failed:
        why = "only one order works" if len(failed) == 1 else "neither order works"
        fails = frozenset(whose[made.failed[0]] for made in (first, second) if made.failed)
        return Comparison(commute=False, why=why, lines=(*failed, *shared), fails=fails)
    if differ := tuple(_different(first, second, whose)):
        why = "the two orders end in different schemas"
        return Comparison(commute=False, why=why, lines=(*differ[:SHOWN], *shared))
    if rows := tuple(_rows(first, blocks)):
        why = "the schema is the same, but rows are changed that the other branch touches"
        return Comparison(commute=False, why=why, lines=(*rows[:SHOWN], *shared))
    why = "the two orders end in the same schema: the branches commute"
    return Comparison(commute=True, why=why, lines=shared)


def _failure(made: Timeline, whose: Mapping[str, str]) -> str:
    assert made.failed is not None
    ran = [id for id in made.revisions if id in whose and whose[id] != whose[made.failed[0]]]
    return f"{made.failed[0]} after {', '.join(ran) or 'nothing else'} fails: {made.failed[1]}"


def _different(first: Timeline, second: Timeline, whose: Mapping[str, str]) -> Iterator[str]:
    names = [", ".join(id for id in made.revisions if id in whose) for made in (first, second)]
    one, other = first.state(first.revisions), second.state(second.revisions)
    for key in sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k)):
        ends = (one.get(key, "not there"), other.get(key, "not there"))
        yield f"{named(key)}: {ends[0]} after {names[0]}; {ends[1]} after {names[1]}"


def _tables(made: Timeline, block: Sequence[str]) -> set[str]:
    """The relations that some revisions change."""
    return {
        key.table or key.name
        for id in block
        for unit in made.units.get(id, ())
        for key in (*unit.added, *unit.removed)
    }


def _touched_by_both(
    first: Timeline, second: Timeline, blocks: Mapping[str, Sequence[str]]
) -> list[str]:
    sets = [_tables(first, block) | _tables(second, block) for block in blocks.values()]
    found = (a & b for n, a in enumerate(sets) for b in sets[n + 1 :])
    return sorted(set().union(*found))


def _rows(made: Timeline, blocks: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Statements about rows that name what another branch changes."""
    written = {head: _written(made, block) for head, block in blocks.items()}
    for head, block in blocks.items():
        others = {
            table
            for other in blocks
            if other != head
            for table in _tables(made, blocks[other]) | written[other]
        }
        for id in block:
            for statement in made.revisions.get(id, ()):
                names = sorted(others & set(re.findall(r"\w+", statement.sql)))
                if statement.data and names:
                    line = statement.sql.partition("\n")[0][:120]
                    yield f"{id} reads or changes rows of {', '.join(names)}: {line}"


def _written(made: Timeline, block: Sequence[str]) -> set[str]:
    texts = (s.sql for id in block for s in made.revisions.get(id, ()) if s.data)
    found = (match[1] for text in texts for match in _WRITES.finditer(text))
    return {name.replace('"', "").rpartition(".")[2] for name in found}
