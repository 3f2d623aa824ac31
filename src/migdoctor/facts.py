"""What a database can be seen to hold, as plain values; no I/O, no SQL execution.

A fact is `(schema, table, kind, name) -> detail`. `detail` is canonical text, so that two schemas
are equal exactly when their facts are. The same facts serve diff, drift, rehearsal and undo.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

Certainty = Literal["certain", "likely", "unknown"]


class FactKey(NamedTuple):
    """Names one thing. `table` is the owning relation, or the object itself, or '' where none.

    kind is one of: schema, table, view, matview, column, primary_key, unique, foreign_key, check,
    exclusion, index, trigger, sequence, enum, domain, type, function, extension, policy.
    """

    schema: str
    table: str
    kind: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Schema:
    """All facts of one database, all user schemas, without version tables and own leftovers.

    `unreadable` maps "schema.table" to the reason why that relation was left out (locked, no
    right); what is unreadable is unknown, never missing.
    `sql` holds the stored text of SQLite objects, keyed (type, name) as in sqlite_master.
    `meant` are facts as they were meant, where only their health differs (an INVALID index, a
    disabled trigger), None: they count as not there. Those have findings of their own.
    """

    facts: Mapping[FactKey, str]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    sql: Mapping[tuple[str, str], str] = field(default_factory=dict)
    meant: Mapping[FactKey, str | None] = field(default_factory=dict)

    @cached_property
    def as_meant(self) -> Mapping[FactKey, str]:
        """The facts to be compared with the history."""
        if not self.meant:
            return self.facts
        return {k: v for k, v in {**self.facts, **self.meant}.items() if v is not None}

    @cached_property
    def tables(self) -> frozenset[tuple[str, str]]:
        """(schema, name) of every ordinary or partitioned table."""
        return frozenset((k.schema, k.table) for k in self.facts if k.kind == "table")

    def of(self, schema: str, table: str) -> dict[FactKey, str]:
        """The facts owned by one relation."""
        return {k: v for k, v in self.facts.items() if k.schema == schema and k.table == table}

    def fingerprint(self) -> str:
        """Hex digest that changes with any fact."""
        digest = hashlib.sha256()
        for key in sorted(self.facts):
            digest.update("\x1f".join((*key, self.facts[key])).encode())
            digest.update(b"\x1e")
        return digest.hexdigest()[:16]

    def lines(self) -> list[str]:
        """One sorted text line per fact, for unified diffs."""
        return [
            f"{key.kind} {'.'.join(p for p in (key.schema, key.table, key.name) if p)}: {detail}"
            for key, detail in sorted(self.facts.items())
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTable:
    """One table that looks like a version table, with its rows exactly as stored.

    `rows` may hold None, blanks and repetitions; order is the server's. `width` is the length
    limit of version_num, None where there is none or where the engine ignores it (SQLite).
    `configured` says that this is the table the project's configuration names. `unread` says why
    the rows of another one could not be read, "" where they were.
    """

    schema: str
    name: str
    rows: tuple[str | None, ...]
    width: int | None
    primary_key: bool
    configured: bool
    extra_columns: tuple[str, ...] = ()
    owner: str | None = None
    ddl: str | None = None
    unread: str = ""

    @property
    def label(self) -> str:
        """Name for people: without the schema where it is SQLite's main."""
        return self.name if self.schema in ("", "main") else f"{self.schema}.{self.name}"

    @property
    def told(self) -> str:
        """Its rows for people."""
        return self.unread or ", ".join(map(repr, self.rows)) or "no row"


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpTable:
    """One `_alembic_tmp_*` table of SQLite and what stands beside it (incidents 37, 38).

    `original` is the name batch mode will rename it to; `original_rows` is None where that table
    is missing. `ddl` is the stored CREATE TABLE of the tmp table. `columns` are those of the tmp
    table. `lost` are CREATE statements of indexes and triggers that the original needs and does
    not have, each known from `lost_from` ("models" or "sqlite_master"). `blocking_views` are
    views, as (name, sql), whose text names the original.
    """

    name: str
    original: str
    rows: int
    original_rows: int | None
    ddl: str
    columns: tuple[str, ...]
    lost: tuple[str, ...] = ()
    lost_from: str | None = None
    blocking_views: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One table that an earlier run put aside (`_migdoctor_q_<run>_<table>`)."""

    schema: str
    name: str
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Another session (PostgreSQL) or process (SQLite) at work on this database.

    `migrating` says why this session is taken for a migration, None where it is not. `started`
    tells it from a later one with the same pid (UTC, with microseconds). `waits` is the lock it
    waits for, since `waited` seconds; `advisory` are the advisory locks it holds. `building` is
    how far an index build is. `may_signal` says that our role may cancel or end it.
    """

    pid: int
    application: str
    user: str
    client: str
    state: str
    query: str
    seconds: float | None
    blocked_by: tuple[int, ...] = ()
    holds: tuple[str, ...] = ()
    migrating: str | None = None
    started: str = ""
    waits: str = ""
    waited: float | None = None
    advisory: tuple[str, ...] = ()
    building: str = ""
    may_signal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Who else is at work. `write_locked` (SQLite) says that a writer holds the file now."""

    sessions: tuple[Session, ...] = ()
    write_locked: str | None = None
    exclusive: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which database this is and what this role may do there (toolbox D7).

    `read_only` and the entries of `lacks` are sentences ("in recovery: this is a replica"), empty
    where all is well. `statements` are what a DBA would have to run for the entries of `lacks`.
    `size` is that of the file in bytes (SQLite), None on a server. `note` says what stands between
    us and the server.
    """

    dialect: str
    server_version: str
    database: str
    host: str
    role: str
    search_path: tuple[str, ...]
    read_only: str = ""
    lacks: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    size: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakIndex:
    """An index that is not valid, or whose name is that of a leftover of REINDEX CONCURRENTLY.

    `building`: somebody has the table in a lock that a build takes. `constraint` is the one that
    it backs, `sibling` the valid index of the same table and columns that a `_ccnew` stands beside.
    `duplicates` are groups of rows that a unique index cannot take, None: not counted, with
    `why_not`.
    """

    key: FactKey
    unique: bool
    valid: bool
    building: bool
    constraint: str = ""
    sibling: str = ""
    duplicates: tuple[str, ...] | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unvalidated:
    """A constraint that is NOT VALID. `violations` None: not counted, with `why_not`."""

    key: FactKey
    definition: str
    busy: bool
    violations: int | None = None
    shown: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedEnum:
    """An enum type on which nothing depends."""

    key: FactKey
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisabledTriggers:
    """The disabled triggers of one table: by name those of users, and those of foreign keys.

    `foreign_keys` are (child table, constraint, rows without parent or None where not counted).
    """

    schema: str
    table: str
    names: tuple[str, ...]
    internal: tuple[str, ...] = ()
    foreign_keys: tuple[tuple[str, str, int | None], ...] = ()
    all_of_table: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Rows whose foreign key leads nowhere. `count` None: not counted, with `why_not`."""

    table: str
    constraint: str
    parent: str
    count: int | None
    shown: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleCollation:
    """A collation, '' for the database's own, whose provider has another version than recorded."""

    name: str
    recorded: str
    actual: str
    indexes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is there and not well (toolbox D5); empty on engines that have no such thing.

    `owners` are (schema, owner, number of tables, names) of schemas with several owners.
    """

    indexes: tuple[WeakIndex, ...] = ()
    unvalidated: tuple[Unvalidated, ...] = ()
    enums: tuple[UnusedEnum, ...] = ()
    triggers: tuple[DisabledTriggers, ...] = ()
    collations: tuple[StaleCollation, ...] = ()
    owners: tuple[tuple[str, str, int, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A sequence that feeds a column which an index begins with. `upcoming` is its next value,
    `why_not` says why neither number could be read."""

    schema: str
    name: str
    table: str
    column: str
    upcoming: int
    highest: int | None
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The revision that makes an object, and the line of its file that names it.

    `proven`: the replay has shown it; else the file only names it.
    """

    revision: str
    path: Path
    line: int | None
    proven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The tables of one schema that another schema has as well, beside a version table each.

    `tables` are (name, number of rows, a large one estimated by the server; None where nobody
    could look). `referenced` says that something outside depends on one of them.
    """

    schema: str
    tables: tuple[tuple[str, int | None], ...]
    referenced: bool = False

    @property
    def empty(self) -> bool:
        return all(rows == 0 for _, rows in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference between the live database and the models, as alembic's autogenerate says.

    `op` is alembic's own diff name (add_table, remove_column, modify_type...), `subject` the
    object, `text` one line for people.
    """

    op: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A revision file that alembic itself has rendered and that nobody has written yet."""

    id: str
    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDiff:
    """Live database against the project's models.

    `drifts` is empty where they agree. `restore` brings the database to the models: statements in
    order, each with what it may cost, as (sql, names of hazards). `adopt` is the revision that
    records what the database has. `why_not` explains a missing direction.
    """

    drifts: tuple[Drift, ...] = ()
    restore: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    adopt: "Draft | None" = None
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A revision file that this checkout lacks: its whole text, and the place where it belongs."""

    id: str
    to: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where a revision id that no local file has was seen (git, an installed package, bytecode).

    `leads_to` is the chain of parents from the id down to the first one this checkout has, empty
    where the chain does not reach it. `when` is the date of the commit. `files` are the file and
    those of all ancestors that are lost as well; `missing` are ancestors that nobody has seen.
    Bytecode has no text, and so no files.
    """

    id: str
    source: str
    where: str
    path: str
    leads_to: tuple[str, ...] = ()
    when: str = ""
    files: tuple[Lost, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Its files are all that is needed to put the revision back on the history."""
        return bool(self.files) and not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What the file of a revision was from one commit of this branch on; `when` is its date."""

    path: Path
    down: tuple[str, ...]
    commit: str
    when: str
    text: str

    @property
    def sha(self) -> str:
        """As that of `Revision`: hex SHA-256 of the file's bytes."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """The newest version of a broken revision file that can be loaded, and `where` git has it.

    `here`: on this branch; else the file never was sound on it. `kept`: git has the broken text,
    too, so that nothing is lost when the other one takes its place.
    """

    id: str
    down: tuple[str, ...]
    text: str
    where: str
    here: bool
    kept: bool
