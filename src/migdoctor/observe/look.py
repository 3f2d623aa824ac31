"""observe: look at everything once, record what could not be seen, touch nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from migdoctor.connect import Session, open_reading
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
    "sightings",
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
        return _blind(look, target.no_address or CannotConnect("No database address."))
    look.facts["dialect"] = target.address.dialect
    try:
        probe = activity.probe(target.address) if passing else Activity()
        session = open_reading(target.address)
    except CannotConnect as error:
        return _blind(look, error)
    with session:
        _database(target, look, session, probe, passing)
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
        raise NotObserved("history", "no revision file was found, and --quick does not ask env.py")
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
        raise NotApplicable("merge_draft", "--quick runs none of the project's code")
    if len(heads) < 2 or not seen.history.trustworthy:
        raise NotApplicable("merge_draft", "there is nothing to merge")
    rev_id = hashlib.sha256(" ".join(sorted(heads)).encode()).hexdigest()[:12]
    return target.agent.merge(heads, rev_id, f"merge {' and '.join(heads)}")


def _blind(look: Looking, error: CannotConnect) -> Observation:
    """No connection: everything in the database is unknown, the files are not."""
    look.facts["connect_error"] = error
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
    look.at("models", lambda: _models(target, look.observation(), session, passing))
    look.at("timeline", lambda: _timeline(target, look.observation(), passing))
    look.at("needs", lambda: needs.read(session, look.observation()))
    look.at("schema", lambda: health.as_meant(look.observation()))
    look.at("origins", lambda: origins.read(look.observation()))
    look.at("position", lambda: _position(look.observation()))
    look.at("sightings", lambda: _sightings(target, look.observation()))


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


def _models(target: Target, seen: Observation, session: Session, passing: bool) -> ModelDiff:
    if target.quick or not passing:
        raise NotApplicable("models", "--quick runs none of the project's code")
    if target.capture_failure:
        raise NotObserved("models", f"env.py could not be used: {target.capture_failure[0]}")
    if not target.has_metadata:
        raise NotApplicable("models", "env.py names no target_metadata")
    if not seen.at_head:
        raise NotApplicable("models", "the database is not at head by its own record")
    return models.compare(target, session, seen)


def _timeline(target: Target, seen: Observation, passing: bool) -> Timeline:
    if target.quick or not passing:
        raise NotApplicable("timeline", "--quick runs none of the project's code")
    return timeline.read(target, seen)


def _position(seen: Observation) -> Position:
    """Where live stands; what was unreadable there, or cannot be compared, counts nowhere."""
    shut = {*seen.schema.unreadable, *seen.timeline.incomparable}
    unknown = frozenset((s, t) for s, _, t in (name.partition(".") for name in shut))
    return locate(seen.timeline, seen.history, seen.schema.as_meant, seen.stamped, unknown)


def _sightings(target: Target, seen: Observation) -> object:
    unknown = tuple(r for r in dict.fromkeys(seen.rows) if r and r not in seen.history.by_id)
    if not unknown:
        return {}
    return witness.look(unknown, seen.history, target.project.locations, target.project.root)
