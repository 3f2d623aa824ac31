"""Which revision makes an unhealthy object, and where: by the replay, else by the files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from migdoctor.facts import FactKey, Origin
from migdoctor.model import Observation
from migdoctor.observe.health import LEFTOVER


def read(seen: Observation) -> Mapping[str, Origin]:
    """Origins by the name of the object; what no file names is left out."""
    keys = list(_unhealthy(seen))
    if not keys or not seen.has("history"):
        return {}
    texts = {r.id: (r.path, _lines(r.path)) for r in seen.history.revisions}
    order = [id for id in seen.history.topological if id in texts]
    found: dict[str, Origin] = {}
    for key in keys:
        name = LEFTOVER.sub("", key.name)
        maker = _maker(seen, key._replace(name=name))
        ids = [maker] if maker in texts else order
        for id in ids:
            path, lines = texts[id]
            line = _line(lines, name)
            if line is not None or id == maker:
                found.setdefault(
                    key.name, Origin(revision=id, path=path, line=line, proven=id == maker)
                )
    return found


def _unhealthy(seen: Observation) -> Iterator[FactKey]:
    if seen.has("health"):
        health = seen.health
        yield from (index.key for index in health.indexes)
        yield from (constraint.key for constraint in health.unvalidated)
        yield from (enum.key for enum in health.enums)
        for table in health.triggers:
            yield from (FactKey(table.schema, table.table, "trigger", n) for n in table.names)
    if seen.has("schema"):
        yield from (key for key in seen.schema.meant if key.kind == "enum")


def _maker(seen: Observation, key: FactKey) -> str | None:
    """The last revision whose replay made the object."""
    if not seen.has("timeline"):
        return None
    made = [
        id
        for id, statements in seen.timeline.revisions.items()
        if any(key in s.added and key not in s.removed for s in statements)
    ]
    return made[-1] if made else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _line(lines: Iterable[str], name: str) -> int | None:
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    return next((number for number, line in enumerate(lines, 1) if word.search(line)), None)
