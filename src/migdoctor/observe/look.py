"""observe: look at everything once, record what could not be seen, touch nothing."""

import contextlib
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from migdoctor.connect import Session, open_reading
from migdoctor.cures import branches, edited, names
from migdoctor.errors import CannotConnect, DoctorError, NotApplicable, NotObserved
from migdoctor.facts import Activity, Copy, Draft, ModelDiff, TmpTable
from migdoctor.graph import History
from migdoctor.locate import locate
from migdoctor.model import Observation
from migdoctor.observe import (
    activity,
    health,
    history,
    identity,
    leftovers,
    measures,
    models,
    needs,
    origins,
    schema,
    timeline,
    twins,
    version_table,
    witness,
)
from migdoctor.target import Target
from migdoctor.timeline import Position, Timeline

IN_DATABASE = (
    "version_tables",
    "schema",
    "tmp_tables",
    "quarantined",
    "activity",
    "identity",
    "copies",
    "needs",
    "health",
    "sequences",
    "orphans",
    "origins",
    "models",
    "timeline",
    "position",
    "orders",
    "edits",
)


class Looking:
    """Collects facts one by one; a failed look becomes a missing fact with its reason."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"config_error": None, "connect_error": None}
        self.missing: dict[str, NotObserved | NotApplicable] = {}

    def at(self, name: str, look: Callable[[], object]) -> None:
        """Record `look()` as fact `name`, or why it is missing."""
        try:
            self.facts[name] = look()
        except NotApplicable as reason:
            self.missing[name] = NotApplicable(name, reason.why)
        except NotObserved as reason:
            self.missing[name] = NotObserved(name, reason.why)
        except DoctorError as reason:
            self.missing[name] = NotObserved(name, reason.message)

    def observation(self) -> Observation:
        return Observation(self.missing, **self.facts)


def observe(target: Target, *, passing: bool = True) -> Observation:
    """Everything that can be seen now, in a connection of its own that cannot write.

    `passing` False leaves out who else is at work and the models: for the look under the guard
    lock, where only durable facts count and a SQLite lock probe would drop our own lock.
    """
    look = Looking()
    _files(target, look)
    if target.address is None:
        return _blind(target, look, target.no_address or CannotConnect("No database address."))
    look.facts["dialect"] = target.address.dialect
    try:
        probe = activity.probe(target.address) if passing else Activity()
        session = open_reading(target.address)
    except CannotConnect as error:
        return _blind(target, look, error)
    with session:
        _database(target, look, session, probe, passing)
    return look.observation()


def files(target: Target) -> Observation:
    """What the revision files alone say: nothing is started and no database is opened."""
    look = Looking()
    _files(target, look)
    why = "only rules about the revision files were selected"
    for name in Observation.__annotations__:
        if name not in look.facts:
            look.missing.setdefault(name, NotApplicable(name, why))
    return look.observation()


def nothing(error: DoctorError) -> Observation:
    """The observation of a project that could not even be found."""
    names = [n for n in Observation.__annotations__ if n not in ("config_error", "missing")]
    why = error.message
    return Observation({n: NotObserved(n, why) for n in names}, config_error=error)


def _files(target: Target, look: Looking) -> None:
    project = target.project
    look.facts |= {
        "script_location": str(project.script_location),
        "locations": project.locations,
        "writable_files": project.writable,
        "capture_failure": target.capture_failure,
        "address_differences": target.address_differences,
        "configured_table": (timeline.home_of(target.version_table[0]), target.version_table[1]),
    }
    look.at("history", lambda: _history(target))
    look.at("merge_draft", lambda: _merge_draft(target, look.observation()))


def _history(target: Target) -> History:
    """The revision graph; files of a copy are named by the places they stand in for."""
    project = target.project
    seen = history.read(target.locations, project.recursive, project.sourceless)
    if target.quick and not seen.revisions and not seen.broken:
        raise NotObserved("history", "no revision file was found, and env.py was not asked")
    if not target.moved:
        return seen
    return replace(
        seen,
        revisions=tuple(replace(r, path=target.home(r.path)) for r in seen.revisions),
        broken=tuple(replace(b, path=target.home(b.path)) for b in seen.broken),
        bytecode=tuple(replace(b, path=target.home(b.path)) for b in seen.bytecode),
    )


def _merge_draft(target: Target, seen: Observation) -> Draft:
    heads = seen.history.unlabelled_heads
    if target.quick:
        raise NotApplicable("merge_draft", "none of the project's code was run")
    if len(heads) < 2 or not seen.history.trustworthy:
        raise NotApplicable("merge_draft", "there is nothing to merge")
    rev_id = hashlib.sha256(" ".join(sorted(heads)).encode()).hexdigest()[:12]
    copies = tuple(map(str, target.locations)) if target.moved else ()
    made = target.agent.merge(heads, rev_id, f"merge {' and '.join(heads)}", copies)
    return replace(made, path=target.home(made.path))


def _blind(target: Target, look: Looking, error: CannotConnect) -> Observation:
    """No connection: everything in the database is unknown, the files are not."""
    look.facts["connect_error"] = error
    _witnesses(target, look, passing=True)
    for name in IN_DATABASE:
        look.missing[name] = NotObserved(name, "there is no connection to the database")
    return look.observation()


def _database(
    target: Target, look: Looking, session: Session, probe: Activity, passing: bool
) -> None:
    schema_name, table = target.version_table
    look.at("version_tables", lambda: version_table.read(session, schema_name, table))
    look.at("activity", lambda: probe if session.dialect == "sqlite" else activity.read(session))
    busy = look.facts.get("activity", Activity())
    look.at("schema", lambda: schema.read(session, busy.exclusive))
    compared = _models(target, look, session, passing)
    seen = look.observation()
    try:
        tmp, put_aside = leftovers.read(session, seen.schema)
    except NotObserved as blind:
        look.missing |= {n: NotObserved(n, blind.why) for n in ("tmp_tables", "quarantined")}
    else:
        look.facts["quarantined"] = put_aside
        look.at("tmp_tables", lambda: _tmp_tables(target, tmp, session, passing))
    look.at("identity", lambda: identity.read(session, look.observation().version_table))
    look.at("copies", lambda: _copies(target, look.observation(), session, passing))
    look.at("health", lambda: health.read(session))
    _measure(target, look, session, passing)
    look.at("models", compared)
    look.at("timeline", lambda: _timeline(target, look.observation(), session, passing))
    look.at("needs", lambda: needs.read(session, look.observation()))
    look.at("schema", lambda: health.as_meant(look.observation()))
    look.at("origins", lambda: origins.read(look.observation()))
    look.at("position", lambda: _position(look.observation()))
    _witnesses(target, look, passing)
    look.at("orders", lambda: _orders(target, look.observation()))
    look.at("edits", lambda: _edits(target, look.observation()))
    look.facts |= _as_it_ran(look.observation())


def _tmp_tables(
    target: Target, tmp: tuple[TmpTable, ...], session: Session, passing: bool
) -> tuple[TmpTable, ...]:
    """Leftovers; a table that must be rescued comes with the indexes that the models know."""
    if session.dialect != "sqlite":
        raise NotApplicable("tmp_tables", "batch mode leaves tmp tables on SQLite only")
    if not passing or target.quick or not target.has_metadata:
        return tmp
    try:
        return tuple(
            t
            if t.original_rows is not None or not t.rows
            else replace(t, lost=models.indexes_for(target, session, t), lost_from="models")
            for t in tmp
        )
    except DoctorError:  # models that cannot be loaded must not hide the leftover itself
        return tmp


def _copies(target: Target, seen: Observation, session: Session, passing: bool) -> tuple[Copy, ...]:
    if target.quick or not passing:
        raise NotApplicable("copies", "--quick reads no row of a user's table")
    return twins.read(session, seen.version_tables, seen.schema)


def _measure(target: Target, look: Looking, session: Session, passing: bool) -> None:
    """What only the rows of users' tables can tell."""
    if target.quick or not passing:
        for name in ("sequences", "orphans"):
            look.missing[name] = NotApplicable(name, "--quick reads no row of a user's table")
        return
    seen = look.observation()
    if session.dialect == "postgresql":
        look.at("health", lambda: measures.counted(session, seen.health, seen.schema))
    look.at("sequences", lambda: measures.sequences(session, seen.schema))
    look.at("orphans", lambda: measures.orphans(session, look.observation()))


def _models(
    target: Target, look: Looking, session: Session, passing: bool
) -> Callable[[], ModelDiff]:
    """The comparison with the models; it is under way in the agent until it is called for."""

    def question() -> Callable[[], ModelDiff]:
        if target.quick or not passing:
            raise NotApplicable("models", "--quick runs none of the project's code")
        if target.capture_failure:
            raise NotObserved("models", f"env.py could not be used: {target.capture_failure[0]}")
        if not target.has_metadata:
            raise NotApplicable("models", "env.py names no target_metadata")
        seen = look.observation()
        if not seen.at_head:
            raise NotApplicable("models", "the database is not at head by its own record")
        _demand_path(session, "models")
        return models.comparing(target, session, seen)

    if session.dialect == "sqlite":  # the clone is there for as long as one question
        return lambda: question()()
    try:
        return question()
    except DoctorError as reason:
        return functools.partial(_tell, reason)


def _tell(reason: DoctorError) -> NoReturn:
    raise reason


def _demand_path(session: Session, name: str) -> None:
    """A schema that the role may not use is where names without one lead to, for all others."""
    if session.shut_path:
        why = f"this role may not use schema {session.shut_path[0]} of its search_path"
        raise NotObserved(name, f"{why} (needs USAGE)")


def _timeline(target: Target, seen: Observation, session: Session, passing: bool) -> Timeline:
    if target.quick or not passing:
        raise NotApplicable("timeline", "--quick runs none of the project's code")
    _demand_path(session, "timeline")
    shadowed = [r.path for same in seen.history.twins.values() for r in same[:-1]]
    if not shadowed:
        return timeline.read(target, seen, session=session)
    # alembic takes a twin that it does not load for one more head, and stops where others follow.
    with _copied(target, dict.fromkeys(shadowed)) as copy:
        return timeline.read(copy, seen, session=session)


def _position(seen: Observation) -> Position:
    """Where live stands; what was unreadable there, or cannot be compared, counts nowhere."""
    shut = {*seen.schema.unreadable, *seen.timeline.incomparable}
    unknown = frozenset((s, t) for s, _, t in (name.partition(".") for name in shut))
    return locate(seen.timeline, seen.history, seen.schema.as_meant, seen.stamped, unknown)


def _orders(target: Target, seen: Observation) -> tuple[Timeline, Timeline]:
    """The history with its unlabelled branches in two orders, each replayed on the shadow."""
    history = seen.history
    if len(heads := history.unlabelled_heads) < 2:
        raise NotApplicable("orders", "the history has one end")
    known = seen.timeline
    base, mine = list(known.revisions), branches.own(history, heads)
    heads = tuple(sorted(heads, key=lambda h: base.index(h) if h in base else len(base)))
    one, other = (branches.order(history, way, base) for way in (heads, heads[::-1]))
    whose = [id for id in base if any(id in block for block in mine.values())]
    whole = known.rung == "replay" and not known.failed
    as_known = whole and whose == [id for head in heads for id in mine[head]]
    return (
        known if as_known else timeline.once(target, seen, one),
        timeline.once(target, seen, other),
    )


def _as_it_ran(seen: Observation) -> dict[str, object]:
    """Timeline and position of the released files, where the schema is nearer to those (MD210)."""
    if not seen.has("edits") or not seen.has("position"):
        return {}
    before = seen.having(timeline=seen.edits[0])
    position = _position(before)
    better = position.distance < seen.position.distance and not before.timeline.failed
    return {"timeline": before.timeline, "position": position} if better else {}


def _edits(target: Target, seen: Observation) -> tuple[Timeline, Timeline]:
    """The history with the first text of every applied revision that was edited, and as it is."""
    texts = {}
    if seen.timeline.rung != "replay" or seen.timeline.failed:
        raise NotObserved("edits", "the history cannot be replayed from nothing")
    for id in seen.history.closure(seen.stamped):
        path = seen.history.by_id[id].path
        now = seen.texts.get(path)
        if now is not None and (was := edited.released(seen.versions.get(id, ()), now)):
            texts[path] = was.text
    if not texts:
        raise NotApplicable("edits", "no applied revision was edited")
    with _copied(target, texts) as past:
        return timeline.once(past, seen), seen.timeline


@contextlib.contextmanager
def _copied(target: Target, texts: Mapping[Path, str | None]) -> Iterator[Target]:
    """The target on a copy of its files, some of them with another text; None: without the file."""
    with tempfile.TemporaryDirectory(prefix="migdoctor-") as folder:
        moved = {}
        for number, location in enumerate(target.project.locations):
            if location.is_dir():
                moved[location] = Path(folder, str(number))
                shutil.copytree(target.place(location), moved[location], symlinks=True)
        copy = replace(target, moved=moved)
        for path, text in texts.items():
            place = copy.place(path)
            place.unlink()  # it may be a link to the project's own file
            if text is not None:
                place.write_bytes(text.encode("utf-8", "surrogateescape"))
        yield copy


def _witnesses(target: Target, look: Looking, passing: bool) -> None:
    """What is known elsewhere of revisions: of those that are lost, and of those that are here."""
    seen = look.observation()
    if not seen.has("history"):
        reason = seen.missing["history"]
        look.missing |= dict.fromkeys(("sightings", "versions", "texts", "sound"), reason)
        return
    graph, project = seen.history, target.project
    rows = [row for row in seen.rows if row] if seen.has("version_tables") else []
    ask = witness.Witness(graph, project.locations, project.root, project.python)
    lost = [row for row in rows if row not in graph.by_id]
    lost += [name for _, name in (*graph.missing_parents, *graph.missing_dependencies)]
    lost += [code.id for code in graph.bytecode if code.id]
    sick = {*graph.twins, *(id for knot in graph.cycles for id in knot), *graph.rival_bases}
    sick |= {r.id for r in names.misnamed(graph)}
    applied = graph.closure(rows) if passing and not target.quick else frozenset()
    look.at("sightings", lambda: ask.look(dict.fromkeys(lost)))
    look.at("versions", lambda: ask.versions(sick | applied))
    past = look.facts.get("versions", {})
    now = {r.sha for r in graph.revisions}
    wanted = {id for id, was in past.items() if any(v.sha not in now for v in was)}
    odd = any(len(id) > 32 for id in graph.by_id) or any(b.kind == "missing" for b in graph.broken)
    if lost or sick or odd or len(graph.heads) > 1:
        wanted |= graph.by_id.keys()
    look.at("texts", lambda: _texts(target, graph, wanted))
    look.at("sound", lambda: ask.sound(look.facts.get("texts", {})))


def _texts(target: Target, graph: History, ids: Collection[str]) -> Mapping[Path, str]:
    """The files of some revisions, and broken ones, as they are; none that cannot be read."""
    found = {}
    paths = [r.path for r in graph.revisions if r.id in ids]
    paths += [b.path for b in graph.broken if b.kind not in ("dynamic", "unreadable")]
    for path in (p for p in paths if p.suffix == ".py"):
        with contextlib.suppress(OSError):
            found[path] = target.place(path).read_bytes().decode("utf-8", "surrogateescape")
    return found
