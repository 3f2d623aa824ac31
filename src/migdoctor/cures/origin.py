"""Where an unhealthy object comes from, for findings and for the choice of their cure. Pure."""

from pathlib import Path
from typing import Any

from migdoctor.facts import FactKey, Origin
from migdoctor.model import Evidence, Observation


def of(seen: Observation, name: str) -> Origin | None:
    """The revision that makes it, None where nobody knows."""
    return seen.origins.get(name) if seen.has("origins") else None


def place(seen: Observation, name: str) -> dict[str, Any]:
    """`path` and `line` of a finding, {} where they are not known."""
    origin = of(seen, name)
    return {} if origin is None else {"path": origin.path, "line": origin.line}


def evidence(seen: Observation, name: str) -> tuple[Evidence, ...]:
    """The revision in words, () where it is not known."""
    origin = of(seen, name)
    if origin is None:
        return ()
    how = "the replay makes it there" if origin.proven else "its file names it"
    state = "" if recorded(seen, origin) else ", which is not recorded as applied"
    line = f":{origin.line}" if origin.line else ""
    return (
        Evidence(
            title="made by",
            text=f"revision {origin.revision}{state} ({Path(origin.path).name}{line}; {how})",
        ),
    )


def recorded(seen: Observation, origin: Origin) -> bool:
    """Whether the version rows say that this revision ran."""
    return origin.revision in seen.history.closure(seen.stamped)


def pending(seen: Observation) -> tuple[str, ...]:
    """Revisions whose work is known from the replay and that are not recorded, in their order."""
    claimed = seen.history.closure(seen.stamped)
    return tuple(id for id in seen.timeline.revisions if id not in claimed)


def will_change(seen: Observation, key: FactKey) -> bool:
    """Whether a pending revision changes or removes this fact itself."""
    if not seen.has("timeline"):
        return False
    return any(
        key in statement.removed
        for id in pending(seen)
        for statement in seen.timeline.revisions[id]
    )
