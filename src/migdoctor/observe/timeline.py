"""What the schema looks like after every statement: the project's revisions, replayed.

The history runs from nothing to all heads on a throw-away shadow, in the project's own
interpreter; live is not touched by it. Where that is not possible, a ladder of ever weaker rungs
(design, "Where the timeline comes from").
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from migdoctor.connect import Address, Session, open_reading
from migdoctor.errors import DoctorError, NotApplicable, NotObserved
from migdoctor.facts import FactKey
from migdoctor.model import Observation, literal
from migdoctor.observe import timeline_cache
from migdoctor.observe.schema import postgresql_watch, recording, sqlite
from migdoctor.project import Replay
from migdoctor.project.process import AgentFailed
from migdoctor.shadow import host, stage
from migdoctor.shadow.stage import Scene, Stage
from migdoctor.target import Target
from migdoctor.timeline import Recorded, Rung, Timeline

LIMIT = 300.0  # seconds for all rungs together
Progress = Callable[[Rung, int, int], None]  # rung, revisions done, in all (0 of 0: it is over)
_OPTIONS: Mapping[Rung, Mapping[str, bool]] = {
    "replay": {},
    "replay-without-data": {"neutral": True},
    "rebuilt-base": {"neutral": True, "from_models": True},
    "footprint": {"neutral": True, "tolerant": True},
}
_SCENE = """
SELECT ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_'
               AND n.nspname <> 'information_schema' AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND d.objid = n.oid
                   AND d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass) ORDER BY 1),
       ARRAY(SELECT ARRAY[e.extname::text, n.nspname::text] FROM pg_catalog.pg_extension e
             JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
             WHERE e.extname <> 'plpgsql' ORDER BY 1),
       ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_'
             ORDER BY 1)"""
# Relations whose columns, defaults, indexes, constraints or text need a member of an extension.
_DEPENDENTS = """
WITH member AS MATERIALIZED (
  SELECT d.classid, d.objid, e.extname FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND e.extname = ANY (ARRAY[{names}]::pg_catalog.text[])
), needing AS (
  SELECT d.classid, d.objid, m.extname FROM pg_catalog.pg_depend d
  JOIN member m ON m.classid = d.refclassid AND m.objid = d.refobjid WHERE d.deptype <> 'e'
)
SELECT DISTINCT n.nspname::text, c.relname::text, x.extname::text FROM needing x
LEFT JOIN pg_catalog.pg_index i ON x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND i.indexrelid = x.objid
LEFT JOIN pg_catalog.pg_attrdef f ON x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
  AND f.oid = x.objid
LEFT JOIN pg_catalog.pg_constraint k ON x.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
  AND k.oid = x.objid
LEFT JOIN pg_catalog.pg_rewrite w ON x.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND w.oid = x.objid
LEFT JOIN pg_catalog.pg_trigger t ON x.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass
  AND t.oid = x.objid
JOIN pg_catalog.pg_class c ON c.oid = coalesce(i.indrelid, f.adrelid, k.conrelid, w.ev_class,
  t.tgrelid, CASE x.classid WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN x.objid END)
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"""


def read(
    target: Target,
    seen: Observation,
    *,
    limit: float = LIMIT,
    on_progress: Progress | None = None,
    session: Session | None = None,
) -> Timeline:
    """The timeline of the target's project on the target's engine, from the cache if it is there.

    `seen` gives the history and what live has that no revision makes; `session` is one to the
    target that is open already. Raises NotApplicable where
    no code of the project may run or there is nothing to replay, NotObserved("timeline", why)
    where nothing can be replayed.
    """
    return _guarded(target, seen, limit, on_progress or target.on_progress, None, session)


def once(target: Target, seen: Observation, order: tuple[str, ...] = ()) -> Timeline:
    """The history from nothing, as far as it goes, in a given order (none: alembic's own).

    There is no weaker rung: `failed` says where it ended. Raises as `read`.
    """
    return _guarded(target, seen, LIMIT, target.on_progress, order)


def _guarded(
    target: Target,
    seen: Observation,
    limit: float,
    on_progress: Progress,
    order: tuple[str, ...] | None,
    session: Session | None = None,
) -> Timeline:
    if target.quick:
        raise NotApplicable("timeline", "--quick replays nothing")
    if not seen.history.revisions:
        raise NotApplicable("timeline", "there are no revisions")
    if target.project.env_py is None and not target.project.via:
        raise NotObserved("timeline", "the project has no env.py")
    try:
        return _read(target, seen, limit, on_progress, order, session)
    except NotObserved as error:
        raise NotObserved("timeline", error.why) from None
    except AgentFailed as error:
        raise NotObserved("timeline", f"the history could not be run: {error.error}") from None


def _read(
    target: Target,
    seen: Observation,
    limit: float,
    on_progress: Progress,
    order: tuple[str, ...] | None,
    session: Session | None,
) -> Timeline:
    assert target.address is not None
    where = target.agent.surroundings()
    sources = timeline_cache.sources(target, where["path"])
    postgresql = target.address.dialect == "postgresql"
    scene = _scene(target, seen, sources, session) if postgresql else None
    key = timeline_cache.key(target, where, sources, scene, order)
    known = timeline_cache.load(key)
    if known is None:
        deadline = time.monotonic() + limit
        climb = _Climb(target, seen, scene, deadline, on_progress, order or ())
        try:
            known = climb.best() if order is None else climb.rung("replay")
        finally:
            on_progress("replay", 0, 0)
        if not climb.late:
            timeline_cache.save(key, known)
    return known


def _scene(
    target: Target, seen: Observation, sources: Mapping[str, bytes], open_: Session | None
) -> Scene:
    """What live has and no file of the history makes."""
    assert target.address is not None
    with nullcontext(open_) if open_ else open_reading(target.address) as session:
        ((schemas, extensions, roles),) = session.query(_SCENE)
        path = session.search_path
    text = b"\n".join(sources.values()).decode("utf-8", "replace")
    path = path or ("public",)
    home = home_of(target.version_table[0])
    given = {home} if home else set()
    width = max(map(len, seen.history.by_id), default=0)
    return Scene(
        path=path,
        versions=(home or path[0], target.version_table[1], width) if width > 32 else None,
        schemas=tuple(sorted(given | {s for s in schemas if not _makes(text, "schema", s)})),
        extensions={e: s for e, s in extensions if not _makes(text, "extension", e)},
        roles=tuple(roles),
        public="public" in schemas,
    )


def home_of(text: str | None) -> str | None:
    """A schema's name, also out of a SET search_path statement (its first name)."""
    found = re.match(r"(?is)\s*set\s.*search_path\s*(?:to|=)\s*[\"']?([^\s,;\"']+)", text or "")
    return found[1] if found else text


def _makes(text: str, kind: str, name: str) -> bool:
    """Whether the files have a CREATE of this schema or extension, plainly or as an operation."""
    word = rf"(?<!\w){re.escape(name)}(?!\w)"
    return bool(
        re.search(rf"(?i)create\s+{kind}(\s+if\s+not\s+exists)?\s+[\"'\\]*{word}", text)
        or re.search(rf"(?i)create_?{kind}\(\s*[\"']{word}", text)
    )


# --- the ladder ---------------------------------------------------------------------------------


@dataclass
class _Climb:
    """One search for the best rung; `late` says that the time was up."""

    target: Target
    seen: Observation
    scene: Scene | None
    deadline: float
    on_progress: Progress | None
    order: tuple[str, ...] = ()
    late: bool = False

    def best(self) -> Timeline:
        """The first rung that holds the whole history, or the one that holds most."""
        made = [self.rung("replay")]
        weaker: list[Rung] = ["replay-without-data"]
        if self.target.has_metadata:
            weaker.append("rebuilt-base")
        weaker.append("footprint")
        for rung in weaker:
            if self.whole(made[-1]) or self.late:
                break
            try:
                made.append(self.rung(rung))
            except AgentFailed:
                continue
        best = _most(made)
        if not best.covered and best.failed:
            raise NotObserved("timeline", f"revision {best.failed[0]} fails: {best.failed[1]}")
        return best

    def whole(self, made: Timeline) -> bool:
        return not made.failed and len(made.covered) == len(self.seen.history.by_id)

    def rung(self, rung: Rung) -> Timeline:
        left = self.deadline - time.monotonic()
        said = None
        if on_progress := self.on_progress:
            said = lambda done, total: on_progress(rung, done, total)  # noqa: E731  one name for two cases
        with _stage(self.scene, self.target.shadow) as made:
            raw = self.target.agent.replay(
                _question(self.target, made, max(left, 1.0), self.order, _OPTIONS[rung]), said
            )
            self.late = bool(raw["failed"] and "time limit" in raw["failed"][1])
            timeline = self.timeline(rung, raw)
            if made.lacking and self.target.address:
                incomparable = _incomparable(self.target.address, made.lacking)
                timeline = replace(timeline, incomparable=incomparable)
        return timeline

    def timeline(self, rung: Rung, raw: Mapping[str, Any]) -> Timeline:
        reader = recording.PostgreSQL() if self.scene else recording.SQLite()
        starts: list[dict[FactKey, str]] = [{}]
        for delta in raw["start"]:
            removed, added = reader.change(delta)
            starts.append({k: v for k, v in starts[-1].items() if k not in removed} | added)
        _nothing, _empty, *created, base = starts
        revisions = {}
        for id, statements in raw["revisions"]:
            revisions[id] = tuple(_recorded(reader, *entry) for entry in statements)
        known = self.seen.history.by_id
        failed = raw["failed"] or next(iter(raw["skipped"] if rung == "footprint" else ()), None)
        twins = self.seen.history.twins  # the models may be those of the file that is not loaded
        return Timeline(
            dialect="postgresql" if self.scene else "sqlite",
            rung=rung,
            revisions={id: statements for id, statements in revisions.items() if id in known},
            base=base,
            stands=frozenset(raw["stands"]) & known.keys(),
            created=created[0] if created and not twins else None,
            failed=tuple(failed) if failed else None,
        )


def _most(made: list[Timeline]) -> Timeline:
    """The timeline that says most.

    The whole history from nothing comes first. A beginning or an end of it is worth more than
    scattered revisions, unless it is short; an end stands on the whole of the models, and most
    databases are near it.
    """

    def says(timeline: Timeline) -> int:
        return sum(map(bool, timeline.units.values()))

    if made[-1].rung.startswith("replay") and not made[-1].failed:
        return made[-1]
    parts = [t for t in made if t.rung != "footprint"]
    best = max(parts, key=lambda t: (says(t), t.rung == "rebuilt-base" and not t.failed))
    scattered = made[-1]
    if scattered is not best and not best.stands and says(scattered) > 2 * says(best):
        return scattered
    return best


def _recorded(
    reader: recording.PostgreSQL | recording.SQLite,
    sql: str,
    data: bool,
    batch: str | None,
    autocommit: bool,
    delta: object,
) -> Recorded:
    removed, added = reader.change(delta)
    return Recorded(
        sql=sql,
        added=added,
        removed=removed,
        data=data,
        batch=batch,
        autocommit=bool(autocommit),
    )


@contextmanager
def _stage(scene: Scene | None, shadow: Address | None) -> Iterator[Stage]:
    made: AbstractContextManager[Stage]
    if scene is None:
        made = stage.sqlite_stage()
    else:
        made = stage.postgresql_stage(scene, postgresql_watch.setup, shadow)
    with made as ready:
        yield ready


def _question(
    target: Target,
    made: Stage,
    limit: float,
    order: tuple[str, ...],
    options: Mapping[str, bool],
) -> Replay:
    if made.url.startswith("sqlite"):
        watch = {"objects": sqlite.OBJECTS, "columns": sqlite.COLUMNS}
    else:
        watch = {"changes": postgresql_watch.CHANGES}
    return Replay(
        url=made.url,
        marker=made.marker,
        marker_query=made.marker_query,
        watch=watch,
        version_table=target.version_table[1],
        pragmas=made.pragmas,
        lacking=made.lacking,
        locations=tuple(map(str, target.locations)) if target.moved else (),
        limit=limit,
        order=order,
        beyond=host.BEYOND if target.shadow else "",
        **options,
    )


def _incomparable(live: Address, lacking: tuple[str, ...]) -> dict[str, str]:
    """Why tables of the live database cannot be compared: extensions that the shadow lacks."""
    names = ", ".join(map(literal, lacking))
    found = {f"extension {name}": "the shadow does not have it" for name in lacking}
    try:
        with open_reading(live) as session:
            rows = session.query(_DEPENDENTS.format(names=names))
    except DoctorError:
        return found
    found |= {
        f"{schema}.{table}": f"it needs the extension {extension}, which the shadow lacks"
        for schema, table, extension in rows
    }
    return found
