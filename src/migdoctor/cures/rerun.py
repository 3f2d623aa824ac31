"""The cure of what was recorded and never ran: its own recorded statements, and the row stays."""

from collections.abc import Sequence

from migdoctor.cures import statements
from migdoctor.cures.standing import Standing
from migdoctor.model import Cure, Evidence, Finding, NeedsHuman, Observation, Remedy

WITH_DATA = "with-data"


def run_again(
    finding: Finding, seen: Observation, ids: Sequence[str], standing: Standing
) -> tuple[Cure, ...]:
    """Run the statements of `ids`, in order; stop before one that changes rows, and ask.

    The default ends at the first revision with a statement of which nobody can see whether it
    ran. It is not a default where the schema does not match exactly without these revisions.
    """
    plain = ids[: next((n for n, id in enumerate(ids) if _asks(seen, id)), len(ids))]
    rest = ids[len(plain) :]
    cures: list[Cure] = []
    if plain and not statements.untold(_pieces(seen, plain)):
        cures.append(
            Remedy(
                finding=finding,
                key="run",
                title=f"run what {listed(plain)} would have done; the row stays",
                steps=statements.steps(_pieces(seen, plain), seen, statements.Made()),
                default=standing.exact,
                remains=f"{rest[0]} changes rows, or more than the schema shows" if rest else "",
            )
        )
    if rest and not statements.untold(_pieces(seen, ids)):
        cures.append(
            Remedy(
                finding=finding,
                key=WITH_DATA,
                title=f"run what {listed(ids)} would have done, data statements too",
                steps=statements.steps(_pieces(seen, ids), seen, statements.Made()),
                default=False,
            )
        )
    elif rest or not cures:
        cures.append(NeedsHuman(finding=finding, why=_why(seen, rest or plain)))
    return tuple(cures)


def _why(seen: Observation, ids: Sequence[str]) -> str:
    first = next(id for id in ids if statements.untold(_pieces(seen, (id,))))
    path = seen.history.by_id[first].path
    return (
        f"{first} reads rows, or does what was not recorded word for word: read {path.name}, and "
        "do by hand what it does"
    )


def evidence(seen: Observation, ids: Sequence[str]) -> Evidence:
    """The statements as they were recorded, under their revisions."""
    blocks = [
        f"-- {id} {seen.history.by_id[id].message}\n{statements.text_of(_pieces(seen, (id,)))}"
        for id in ids
    ]
    return Evidence(title="recorded in the replay, not in this database", text="\n".join(blocks))


def listed(ids: Sequence[str]) -> str:
    """Some revisions for people: `a`, `a and b`, `a, b ... z (7 revisions)`; "" for none."""
    if not ids:
        return ""
    if len(ids) <= 3:
        return " and ".join(filter(None, [", ".join(ids[:-1]), ids[-1]]))
    return f"{ids[0]}, {ids[1]} ... {ids[-1]} ({len(ids)} revisions)"


def _asks(seen: Observation, id: str) -> bool:
    return statements.has_data(seen.timeline, id)


def _pieces(seen: Observation, ids: Sequence[str]) -> list[statements.Piece]:
    return [piece for id in ids for piece in statements.pieces(seen.timeline, id)]
