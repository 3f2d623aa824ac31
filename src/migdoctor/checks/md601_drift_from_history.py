"""MD601: recorded at head, yet the live schema differs from what the models want (incident 66).

No direction is a default: the difference may be a hand-made hotfix worth keeping, a revision that
nobody wrote, or damage. Drift at head is common upstream too, so it is a warning.
"""

import re
from collections.abc import Iterator

from migdoctor.errors import NotApplicable
from migdoctor.facts import Draft, Drift
from migdoctor.model import (
    Check,
    Cure,
    EditFile,
    Evidence,
    Finding,
    Hazard,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Sql,
    Stamp,
)

SHOWN = 40
LEFTOVER = re.compile(r"\b_(alembic_tmp|migdoctor_q)_")

# Statements as alembic renders them. A name is bare or in double quotes, perhaps with its schema.
PART = r'(?:"(?:[^"]|"")+"|\w+)'
NAME = rf"(?:{PART}\.)?{PART}"
FLAGS = re.VERBOSE | re.IGNORECASE | re.DOTALL
CREATE_INDEX = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?P<index>{PART})"
    rf"\s+ON\s+(?P<table>{NAME})\s.*",
    FLAGS,
)
DROP_INDEX = re.compile(rf"DROP\s+INDEX\s+(?:CONCURRENTLY\s+)?(?P<index>{NAME})\s*;?\s*", FLAGS)
ON_TABLE = re.compile(
    rf"(?:ALTER\s+TABLE|CREATE\s+TABLE|DROP\s+TABLE|INSERT\s+INTO)\s+(?P<table>{NAME})(?!\w).*",
    FLAGS,
)
CREATE_TABLE = re.compile(rf"CREATE\s+TABLE\s+(?P<table>{NAME})\s*\(.*", FLAGS)
ADD_COLUMN = re.compile(
    rf"ALTER\s+TABLE\s+(?P<table>{NAME})\s+ADD\s+COLUMN\s+(?P<column>{PART})\s(?P<rest>.*)", FLAGS
)
ADD_CONSTRAINT = re.compile(
    rf"ALTER\s+TABLE\s+(?P<table>{NAME})\s+ADD\s+CONSTRAINT\s+(?P<name>{PART})\s.*", FLAGS
)
NULLABLE = re.compile(
    rf"ALTER\s+TABLE\s+(?P<table>{NAME})\s+ALTER\s+COLUMN\s+(?P<column>{PART})"
    r"\s+(?P<verb>SET|DROP)\s+NOT\s+NULL\s*;?\s*",
    FLAGS,
)
# SQLite cannot drop such a column again (lang_altertable.html, section 5).
NOT_DROPPABLE = re.compile(r"\b(REFERENCES|UNIQUE|PRIMARY|CHECK|GENERATED)\b", re.IGNORECASE)


# --- find ---------------------------------------------------------------------------------------


def drifts(seen: Observation) -> tuple[Drift, ...]:
    """The differences that are drift: leftovers, and tables that only a leftover holds, are not.

    The latter have findings of their own (MD301, MD302, MD308, MD309).
    """
    lost = set[str]()
    if seen.dialect == "sqlite":
        lost = {tmp.original for tmp in seen.tmp_tables if tmp.original_rows is None}
    return tuple(
        drift
        for drift in seen.models.drifts
        if not LEFTOVER.search(drift.subject) and drift.subject.split(".")[0] not in lost
    )


def find(seen: Observation) -> Iterator[Finding]:
    """Compare only at head: below it, what pending revisions bring would look like drift."""
    if not seen.at_head:
        raise NotApplicable("models", "the database is not at head by its own record")
    found = drifts(seen)
    if not found:
        return
    lines = [drift.text for drift in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more")
    places = "1 place" if len(found) == 1 else f"{len(found)} places"
    yield Finding(
        code="MD601",
        subject="schema",
        message=f"recorded at head, yet database and models differ in {places}: changed by hand, "
        "or a revision is missing; the next one may fail on it",
        help="Read the lines, then choose: restore (make the database as the models say) "
        "or adopt (write a revision that records what the database has).",
        evidence=(Evidence(title="alembic's own comparison", text="\n".join(lines)),),
    )


# --- cures --------------------------------------------------------------------------------------


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Both directions, neither by default."""
    if len(drifts(seen)) < len(seen.models.drifts):
        return (
            NeedsHuman(
                finding=finding,
                why="a leftover of a migration takes part in the comparison; treat it first "
                "(MD301, MD302, MD308), then run again",
            ),
        )
    if recorded := adopted(seen):
        why = f"revision {recorded} records what the database has: change the models as it shows"
        return (NeedsHuman(finding=finding, why=why),)
    cures: list[Cure] = []
    if seen.models.restore:
        cures.append(restore(finding, seen, seen.models.restore))
    if seen.models.adopt:
        cures.append(adopt(finding, seen, seen.models.adopt))
    if not any(isinstance(cure, Remedy) for cure in cures):
        why = seen.models.why_not or "alembic renders no operation for this difference"
        cures.append(NeedsHuman(finding=finding, why=f"compare by hand: {why}"))
    return tuple(cures)


def adopted(seen: Observation) -> str:
    """The head, where it is such a revision already: a second one would record the same twice.

    It is known by its message, the first line of the draft.
    """
    if seen.models.adopt is None:
        return ""
    title = seen.models.adopt.text.strip().partition("\n")[0].strip("\"' ")
    return next((h for h in seen.history.heads if seen.history.by_id[h].message == title), "")


def restore(
    finding: Finding, seen: Observation, statements: tuple[tuple[str, tuple[str, ...]], ...]
) -> Remedy:
    """Bring the database to the models, with the statements that alembic renders."""
    return Remedy(
        finding=finding,
        key="restore",
        title="bring the database back to what the models say",
        default=False,
        steps=tuple(
            Sql(
                run=sql,
                undo=undo(sql, seen),
                touches=touched(sql, seen),
                hazards=tuple(Hazard(name) for name in hazards),
                in_transaction="CONCURRENTLY" not in sql.upper().split(),
            )
            for sql, hazards in statements
        ),
    )


def adopt(finding: Finding, seen: Observation, draft: Draft) -> Cure:
    """A revision that records what the database has, and the row moved onto it."""
    if not seen.writable_files:
        return NeedsHuman(
            finding=finding,
            why=f"the version folder is not writable; to adopt, save as {draft.path.name} there, "
            f"then run alembic stamp {draft.id}:\n{draft.text}",
        )
    table = seen.version_table
    if table is None or len(seen.history.heads) != 1:
        return NeedsHuman(
            finding=finding, why="several heads: choose yourself which one the revision follows"
        )
    (head,) = seen.history.heads
    after = tuple(draft.id if row == head else row for row in seen.rows)
    return Remedy(
        finding=finding,
        key="adopt",
        title=f"write revision {draft.id} that records what the database has, and stamp it",
        default=False,
        steps=(
            EditFile(path=draft.path, before=None, after=draft.text),
            Stamp(table=(table.schema, table.name), before=seen.rows, after=after),
        ),
        remains="until the models are changed as the new revision shows",
    )


def undo(sql: str, seen: Observation) -> tuple[str, ...] | None:
    """The statement that exactly takes this one back, None where that would be a guess."""
    if made := CREATE_INDEX.fullmatch(sql):
        schema = re.findall(PART, made["table"])[:-1]  # an index lives where its table does
        return (f"DROP INDEX {'.'.join([*schema, made['index']])}",)
    if gone := DROP_INDEX.fullmatch(sql):
        definition = index_definition(plain(gone["index"]), seen)
        return (definition,) if definition else None
    if new := CREATE_TABLE.fullmatch(sql):
        return (f"DROP TABLE {new['table']}",)
    if added := ADD_COLUMN.fullmatch(sql):
        if NOT_DROPPABLE.search(added["rest"]):
            return None
        return (f"ALTER TABLE {added['table']} DROP COLUMN {added['column']}",)
    if tied := ADD_CONSTRAINT.fullmatch(sql):
        return (f"ALTER TABLE {tied['table']} DROP CONSTRAINT {tied['name']}",)
    if null := NULLABLE.fullmatch(sql):
        verb = "DROP" if null["verb"].upper() == "SET" else "SET"
        return (f"ALTER TABLE {null['table']} ALTER COLUMN {null['column']} {verb} NOT NULL",)
    return None


def index_definition(name: str, seen: Observation) -> str | None:
    """The text that makes an index again, as the database itself holds it."""
    if seen.dialect == "sqlite":
        return seen.schema.sql.get(("index", name))
    details = [
        d for key, d in seen.schema.facts.items() if key.kind == "index" and key.name == name
    ]
    if len(details) == 1 and re.match(r"CREATE (UNIQUE )?INDEX ", details[0]):
        return details[0]
    return None


def touched(sql: str, seen: Observation) -> str:
    """ "table schema.name" of the table that a statement changes, "schema" where it is unclear."""
    match = CREATE_INDEX.fullmatch(sql) or ON_TABLE.fullmatch(sql)
    name = plain(match["table"]) if match else ""
    if gone := DROP_INDEX.fullmatch(sql):
        index = plain(gone["index"])
        owners = [k.table for k in seen.schema.facts if k.kind == "index" and k.name == index]
        name = owners[0] if len(owners) == 1 else ""
    if not name:
        return "schema"
    homes = [schema for schema, table in seen.schema.tables if table == name]
    default = "main" if seen.dialect == "sqlite" else "public"
    return f"table {homes[0] if len(homes) == 1 else default}.{name}"


def plain(name: str) -> str:
    """The last part of a dotted SQL name, unquoted."""
    last: str = re.findall(PART, name)[-1]
    return last[1:-1].replace('""', '"') if last.startswith('"') else last


CHECK = Check(
    code="MD601",
    name="drift-from-history",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
