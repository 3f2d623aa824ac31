"""The values that move between the verbs: Observation, Finding, Remedy, Plan, Outcome.

All are frozen, hold tuples, compare by value and can do no I/O. A check sees this module and the
values it names (`facts`, `graph`) and nothing else.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, assert_never

from migdoctor.errors import DoctorError, NotApplicable, NotObserved
from migdoctor.facts import (
    Activity,
    Certainty,
    Copy,
    Draft,
    Health,
    Identity,
    ModelDiff,
    Origin,
    Orphans,
    Quarantined,
    Schema,
    Sequence,
    Sighting,
    Sound,
    TmpTable,
    Version,
    VersionTable,
)
from migdoctor.graph import History
from migdoctor.timeline import Position, Timeline


class Severity(StrEnum):
    """How bad a finding is; `error` means a deploy or the data is broken or will be next time."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Hazard(StrEnum):
    """A danger that a person must accept by name (`--allow`); declared beside its statement."""

    LOCKS_TABLE = "LOCKS_TABLE"
    REWRITES_TABLE = "REWRITES_TABLE"
    DELETES_DATA = "DELETES_DATA"
    DROPS_OBJECT = "DROPS_OBJECT"
    RERUNS_DATA = "RERUNS_DATA"
    ENDS_SESSION = "ENDS_SESSION"
    REWRITES_HISTORY = "REWRITES_HISTORY"
    EDITS_FILES = "EDITS_FILES"
    NOT_TRANSACTIONAL = "NOT_TRANSACTIONAL"
    IRREVERSIBLE = "IRREVERSIBLE"


# --- what was seen ------------------------------------------------------------------------------


class Observation:
    """Everything seen at one moment.

    A fact that could not be read is absent: touching it raises `NotObserved` (blind) or
    `NotApplicable` (no meaning here), as recorded in `missing`: a check can invent no fact.
    """

    config_error: DoctorError | None  # no usable configuration: nothing else could be looked at
    connect_error: DoctorError | None  # the database could not be opened
    dialect: str
    script_location: str
    locations: tuple[Path, ...]  # the version directories; new revisions go to the first
    writable_files: bool  # revision files may be written (inside the project, not installed)
    capture_failure: tuple[str, str] | None  # env.py could not be used: (error, its last lines)
    address_differences: tuple[tuple[str, str], ...]  # (where, masked url) that differ from target
    history: History
    configured_table: tuple[str | None, str]  # (schema or None, name) as env.py names it
    version_tables: tuple[VersionTable, ...]
    schema: Schema
    tmp_tables: tuple[TmpTable, ...]
    quarantined: tuple[Quarantined, ...]
    activity: Activity
    identity: Identity
    copies: tuple[Copy, ...]  # schemas that hold the same tables and a version table each
    needs: tuple[tuple[str, str], ...]  # (what pending revisions lack, statement for a DBA)
    health: Health
    sequences: tuple[Sequence, ...]
    orphans: tuple[Orphans, ...]
    origins: Mapping[str, Origin]  # by the name of an unhealthy object
    models: ModelDiff
    timeline: Timeline  # the project's own history, replayed on a throw-away shadow
    position: Position  # where the live schema stands on it
    merge_draft: Draft  # the merge revision of all heads, when there are several
    sightings: Mapping[str, Sighting]  # ids that no local file has -> where seen
    versions: Mapping[str, tuple[Version, ...]]  # what files were on this branch, oldest first
    sound: Mapping[Path, Sound]  # broken files that git has a version of which can be loaded
    texts: Mapping[Path, str]  # files that may have to be edited, as they are now
    orders: tuple[Timeline, Timeline]  # the branches one after the other, both ways
    edits: tuple[Timeline, Timeline]  # with edited files as they were released, and as they are

    def __init__(
        self, missing: Mapping[str, NotObserved | NotApplicable] | None = None, **facts: Any
    ) -> None:
        self.__dict__["missing"] = dict(missing or {})
        self.__dict__.update(facts)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name not in Observation.__annotations__:
                raise AttributeError(name)
            raise self.missing.get(name) or NotObserved(name, "it was not looked at")

    missing: dict[str, NotObserved | NotApplicable]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Observation is frozen; {name} cannot be set")

    def has(self, name: str) -> bool:
        """Whether a fact was seen."""
        return name in self.__dict__

    def having(self, **changes: Any) -> "Observation":
        """A copy with some facts replaced (and no longer missing)."""
        missing = {name: why for name, why in self.missing.items() if name not in changes}
        facts = {k: v for k, v in self.__dict__.items() if k != "missing"}
        return Observation(missing, **(facts | changes))

    def without(self, name: str, why: NotObserved | NotApplicable) -> "Observation":
        """A copy in which one fact is missing for a reason."""
        facts = {k: v for k, v in self.__dict__.items() if k not in ("missing", name)}
        return Observation({**self.missing, name: why}, **facts)

    @property
    def version_table(self) -> VersionTable | None:
        """The configured version table, None where the database has none by that name."""
        return next((t for t in self.version_tables if t.configured), None)

    @property
    def rows(self) -> tuple[str | None, ...]:
        """Rows of the configured version table exactly as stored; () where it does not exist."""
        return self.version_table.rows if self.version_table else ()

    @property
    def stamped(self) -> tuple[str, ...]:
        """The rows that name a revision some local file has, each once, in stored order."""
        return tuple(dict.fromkeys(r for r in self.rows if r and r in self.history.by_id))

    @property
    def at_head(self) -> bool:
        """The record says: every row is known and all heads are there (implied ones included)."""
        if not self.rows or any(r is None or r not in self.history.by_id for r in self.rows):
            return False
        reached = self.history.closure(self.stamped)
        return all(head in reached for head in self.history.heads)

    def durable(self) -> dict[str, str]:
        """The durable facts as short texts: files, version rows, schema, leftovers.

        Passing facts (locks, activity) are left out: with them a busy database would make every
        plan stale. A durable fact that is missing takes part as missing.
        """

        def text(name: str, read: Callable[[], str]) -> str:
            try:
                return read()
            except (NotObserved, NotApplicable):
                return f"missing: {name}"

        return {
            "revision files": text("history", lambda: self.history.fingerprint()),
            "version rows": text(
                "version_tables",
                lambda: "; ".join(f"{t.label}: {t.rows!r}" for t in self.version_tables),
            ),
            "schema": text("schema", lambda: self.schema.fingerprint()),
            "leftovers": text(
                "tmp_tables",
                lambda: "; ".join(
                    f"{t.name}: {t.rows} rows beside {t.original_rows}" for t in self.tmp_tables
                ),
            ),
        }

    def fingerprint(self) -> str:
        """Short hash of `durable()`."""
        return hashlib.sha256(json.dumps(self.durable()).encode()).hexdigest()[:16]


# --- what is wrong ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A titled block that shows how something is known: a query and its result, a file's line."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sickness of one subject. `message` says what is so and what it costs; `help` what to do.

    `severity` None means that of the check. `path`/`line` point into a revision file.
    """

    code: str
    subject: str
    message: str
    help: str = ""
    severity: Severity | None = None
    certainty: Certainty = "certain"
    evidence: tuple[Evidence, ...] = ()
    path: Path | None = None
    line: int | None = None


# --- what can be done ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A question asked right before a statement; any other answer than `answer` refuses it."""

    query: str
    answer: int | str | None
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sql:
    """One statement, run exactly as written. `undo` None means that it cannot be taken back.

    `touches` names the thing it changes ("table main.t"); two remedies that touch the same thing
    never run in the same round. `rows` is the number of rows it must change, None: not counted.
    `undo` () is for what changes nothing durable ("session 4711").
    """

    run: str
    undo: tuple[str, ...] | None
    touches: str
    hazards: tuple[Hazard, ...] = ()
    in_transaction: bool = True
    rows: int | None = None
    guard: Guard | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Replace the rows of one version table, by exact value and counted; never a purge.

    `before` and `after` are all rows of the table (order does not matter, repetitions do). `table`
    is (schema, name).
    """

    table: tuple[str, str]
    before: tuple[str | None, ...]
    after: tuple[str | None, ...]

    @property
    def touches(self) -> str:
        return f"version table {'.'.join(self.table)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditFile:
    """Give a file new content. `before` None: the file must not exist; `after` None: remove it.

    Both are whole texts, so that the step is its own precondition, diff and undo.
    """

    path: Path
    before: str | None
    after: str | None
    hazards: tuple[Hazard, ...] = ()

    @property
    def touches(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFile:
    """Rename a file that may be binary (stale bytecode put aside); the target must not exist."""

    path: Path
    to: Path
    sha256: str
    hazards: tuple[Hazard, ...] = ()

    @property
    def touches(self) -> str:
        return f"file {self.path}"


Step = Sql | Stamp | EditFile | MoveFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One cure for one finding. Its steps are data: printed, rehearsed and run as they stand.

    `key` is what `--only CODE:key` chooses. `default` False: never applied unless chosen by key.
    `remains` says why the finding will still be reported after the cure ("" when it will not).
    """

    finding: Finding
    key: str
    title: str
    steps: tuple[Step, ...]
    default: bool = True
    remains: str = ""

    @property
    def hazards(self) -> tuple[Hazard, ...]:
        return tuple(sorted({h for step in self.steps for h in hazards_of(step)}))

    @property
    def touches(self) -> frozenset[str]:
        return frozenset(step.touches for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsHuman:
    """No cure that may be run unasked; `why` says what a person has to decide or do."""

    finding: Finding
    why: str


Cure = Remedy | NeedsHuman


def hazards_of(step: Step) -> tuple[Hazard, ...]:
    """The dangers of one step: those declared, and IRREVERSIBLE where there is no undo."""
    match step:
        case Sql():
            extra = [Hazard.IRREVERSIBLE] if step.undo is None else []
            if not step.in_transaction:
                extra.append(Hazard.NOT_TRANSACTIONAL)
            return tuple(sorted({*step.hazards, *extra}))
        case EditFile() | MoveFile():
            return step.hazards
        case Stamp():
            return ()
        case _:
            assert_never(step)


# --- a check ------------------------------------------------------------------------------------

Find = Callable[[Observation], Iterable[Finding]]
Cures = Callable[[Finding, Observation], Cure | tuple[Cure, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One sickness: how to see it (`find`) and how to cure it (`remedy`).

    `remedy` returns one Remedy or NeedsHuman, or several where there is a choice; the default
    comes first. `dialects` empty: every engine. `stops` is the exit status that the finding
    stands for when nothing else is found (MD001: 2, MD003: 3), None for ordinary findings.
    """

    code: str
    name: str
    severity: Severity
    find: Find
    remedy: Cures
    dialects: tuple[str, ...] = ()
    stops: int | None = None


def leave_to_human(why: str) -> Cures:
    """A `remedy` for sicknesses that have no cure a program may choose."""

    def remedy(finding: Finding, _seen: Observation) -> NeedsHuman:
        return NeedsHuman(finding=finding, why=why)

    return remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the checks made of an observation.

    `not_looked` are (code, why) of checks that went blind; `not_applicable` are codes.
    """

    findings: tuple[Finding, ...]
    not_looked: tuple[tuple[str, str], ...]
    not_applicable: tuple[str, ...]
    severities: Mapping[str, Severity]

    def severity(self, finding: Finding) -> Severity:
        return finding.severity or self.severities[finding.code]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(f.code for f in self.findings)


def quoted(*names: str) -> str:
    """A dotted SQL name with every part in double quotes; an empty part or 'main' is left out."""
    return ".".join('"' + n.replace('"', '""') + '"' for n in names if n not in ("", "main"))


def literal(value: str | None) -> str:
    """A text value as an SQL literal (standard-conforming strings; SQLite and PostgreSQL)."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def stamp_statements(step: Stamp, dialect: str) -> Iterator[tuple[str, int]]:
    """The statements of a stamp, as (sql, rows it must change): exact values, never a purge.

    Repetitions are thinned by row address, so that further columns of the kept row survive.
    """
    table = quoted(*step.table)
    address = "rowid" if dialect == "sqlite" else "ctid"
    before, after = list(step.before), list(step.after)
    gone, new = _surplus(before, after), _surplus(after, before)
    for value in dict.fromkeys(gone):
        times, stay = gone.count(value), before.count(value) - gone.count(value)
        where = "version_num IS NULL" if value is None else f"version_num = {literal(value)}"
        if times == 1 and stay == 0 and new:
            yield f"UPDATE {table} SET version_num = {literal(new.pop(0))} WHERE {where}", 1
        elif stay == 0:
            yield f"DELETE FROM {table} WHERE {where}", times
        else:
            kept = f"SELECT {address} FROM {table} WHERE {where} LIMIT {stay}"
            yield f"DELETE FROM {table} WHERE {where} AND {address} NOT IN ({kept})", times
    for value in new:
        yield f"INSERT INTO {table} (version_num) VALUES ({literal(value)})", 1


def _surplus(these: list[str | None], those: list[str | None]) -> list[str | None]:
    """What `these` has more of than `those`, counting repetitions."""
    left = list(those)
    out = []
    for value in these:
        if value in left:
            left.remove(value)
        else:
            out.append(value)
    return out
