"""A revision of which only a first part ran: what is there, what is missing."""

from typing import Literal

from migdoctor.cures.statements import Piece, pieces
from migdoctor.model import Observation
from migdoctor.timeline import Partial, Unit

State = Literal["applied", "missing", "unknown"]


def begun(seen: Observation, part: Partial) -> tuple[Piece, ...]:
    """The pieces up to the last unit that ran, statements without a fact between them included."""
    return _cut(seen, part)[0]


def rest(seen: Observation, part: Partial) -> tuple[Piece, ...]:
    """The pieces after the last unit that ran.

    What ran before a schema change that is there was committed with it. Of a statement without a
    fact behind the last one, nobody can tell.
    """
    return _cut(seen, part)[1]


def _cut(seen: Observation, part: Partial) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    whole = tuple(pieces(seen.timeline, part.id))
    places = [n for n, piece in enumerate(whole) if isinstance(piece, Unit)]
    end = places[part.applied - 1] + 1
    return whole[:end], whole[end:]


def own_tables(seen: Observation, part: Partial) -> set[tuple[str, str]]:
    """Tables that the revision itself makes: nobody uses them yet."""
    return {
        (key.schema, key.table)
        for unit in seen.timeline.units[part.id]
        for key in unit.added
        if key.kind == "table"
    }


def statements_of(seen: Observation, part: Partial) -> list[tuple[str, State]]:
    """(text, state) of every piece; a statement that changes no fact is always unknown."""
    first, last = _cut(seen, part)
    ran: list[tuple[Piece, State]] = [(piece, "applied") for piece in first]
    missing: list[tuple[Piece, State]] = [(piece, "missing") for piece in last]
    return [
        (piece.sql, state if isinstance(piece, Unit) else "unknown")
        for piece, state in (*ran, *missing)
    ]
