"""MD601: the live schema differs from what the history makes of it at this place (incident 66).

Where the position is not known, the models stand in for the history at head. No direction is a
default: the difference may be a hand-made hotfix worth keeping, a revision that nobody wrote, or
damage. Drift at head is common upstream too, so it is a warning.
"""

import re
from collections.abc import Iterator

from migdoctor.cures import standing
from migdoctor.errors import NotApplicable, NotObserved
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
HELP = (
    "Read the lines, then choose: restore (make the database as the models say) "
    "or adopt (write a revision that records what the database has)."
)
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
        for drift in standing.model_drifts(seen)
        if not LEFTOVER.search(drift.subject) and drift.subject.split(".")[0] not in lost
    )


def find(seen: Observation) -> Iterator[Finding]:
    """Against the history where the position is known; else against the models, at head only."""
    if seen.has("position") and not standing.second_hand(seen) and not standing.edge(seen):
        yield from _against_history(seen)
        return
    if not seen.at_head:
        raise NotApplicable("models", "the database is not at head by its own record")
    found = drifts(seen)
    if not found:
        return
    yield Finding(
        code="MD601",
        subject="schema",
        message=f"recorded at head, yet database and models differ in {_places(len(found))}: "
        "changed by hand, or a revision is missing; the next one may fail on it",
        help=HELP,
        evidence=(_comparison(found),),
    )


def _against_history(seen: Observation) -> Iterator[Finding]:
    """What another finding explains is no drift: rows that name no revision, twins, ambiguity."""
    if not standing.recognised(seen):
        raise NotApplicable("position", "the rows must name revisions first (MD404 to MD410)")
    if any(id in seen.history.closure(seen.stamped) for id in seen.history.twins):
        raise NotApplicable("position", "two files claim one id that ran here (MD202)")
    told = standing.stand(seen)
    if told.certainty == "unknown" and not standing.agrees(seen):
        raise NotObserved("position", "the schema cannot be located (MD507)")
    found = differences(seen, told)
    if not found:
        if seen.schema.unreadable:
            shut = ", ".join(f"{t}: {why}" for t, why in sorted(seen.schema.unreadable.items()))
            raise NotObserved("schema", f"not everything could be read: {shut}")
        return
    from_models = drifts(seen) if seen.at_head and seen.has("models") else ()
    agree = seen.at_head and seen.has("models") and not from_models
    yield Finding(
        code="MD601",
        subject="schema",
        message=f"the database differs from its history in {_places(len(found))}: changed by "
        f"hand, or made by other means{'; the models agree with it' if agree else ''}; "
        "the next revision may fail on it",
        help=HELP if from_models else "Read the lines; make the database or a revision say so.",
        certainty=told.certainty if told.certainty != "unknown" else "likely",
        evidence=(
            Evidence(title="live against the history", text=standing.lines(found)),
            *([_comparison(from_models)] if from_models else []),
            standing.how_known(seen),
        ),
    )


def differences(seen: Observation, told: standing.Standing) -> tuple[standing.Difference, ...]:
    """Live against the history; whole tables that env.py leaves out of the comparison do not count.

    Such tables are those that no revision makes and alembic's own comparison passes over.
    """
    found = standing.differences(seen, told.state)
    if not (seen.at_head and seen.has("models")):
        return found
    named = {d.subject.rpartition(".")[2] for d in seen.models.drifts}
    return tuple(
        d for d in found if d.wanted is not None or d.key.kind != "table" or d.key.table in named
    )


def _comparison(found: tuple[Drift, ...]) -> Evidence:
    lines = [drift.text for drift in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more")
    return Evidence(title="alembic's own comparison", text="\n".join(lines))


def _places(number: int) -> str:
    return "1 place" if number == 1 else f"{number} places"


# --- cures --------------------------------------------------------------------------------------


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Both directions, neither by default."""
    if not seen.at_head or not seen.has("models"):
        why = (
            "no statement can be rendered for it here: undo by hand what was done by hand, or "
            "write a revision that does the same"
        )
        return (NeedsHuman(finding=finding, why=why),)
    if seen.has("position") and not drifts(seen):
        why = (
            "database and models agree, the history is what differs: write a revision that makes "
            "a new database like this one, with guards"
        )
        return (NeedsHuman(finding=finding, why=why),)
    if len(drifts(seen)) < len(seen.models.drifts):
        return (
            NeedsHuman(
                finding=finding,
                why="a leftover of a migration takes part in the comparison; treat it first "
                "(MD301, MD302, MD308), then run again",
            ),
        )
    if recorded := standing.adopted(seen):
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


def restore(
    finding: Finding, seen: Observation, statements: tuple[tuple[str, tuple[str, ...]], ...]
) -> Remedy:
    """Bring the database to the models, with the statements that alembic renders.

    Models and history may differ themselves; what only the history wants then stays reported.
    """
    by_history = seen.has("position") and not standing.second_hand(seen)
    return Remedy(
        remains="where the models themselves differ from the history" if by_history else "",
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
