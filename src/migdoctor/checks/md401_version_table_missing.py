"""MD401: the database has tables and no version table (incident 6)."""

from collections.abc import Iterator

from migdoctor import rows
from migdoctor.cures import place, standing
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Severity,
    Sql,
    quoted,
)

SHOWN = 12
WIDTH = 32


def find(seen: Observation) -> Iterator[Finding]:
    """A database without user tables is fresh, and a project without revisions records nothing."""
    if seen.version_table is not None or not seen.history.revisions:
        return
    tables = sorted(".".join(t) for t in seen.schema.tables) + sorted(seen.schema.unreadable)
    if not tables:
        return
    others = [t.label for t in seen.version_tables]
    elsewhere = f"; there is one elsewhere: {', '.join(others)}" if others else ""
    yield Finding(
        code="MD401",
        subject="version table",
        message=f"the database holds {len(tables)} table{'s' * (len(tables) > 1)} and no record of "
        f"a revision: upgrade starts at the first one and stops with 'already exists'{elsewhere}",
        help="Check version_table and version_table_schema in env.py and the search_path."
        if others
        else "Find out which revision the tables are at; do not stamp head blindly.",
        evidence=(_tables(tables), _version_tables(seen), _history(seen), *_where(seen)),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The version table as alembic makes it, with the revisions that the schema proves."""
    if seen.version_tables:
        why = "there is a version table elsewhere: let the configuration name it"
        return (NeedsHuman(finding=finding, why=why),)
    if not seen.has("position"):
        why = (
            "which revision the tables are at is not recorded anywhere: compare them with the "
            "revisions, then stamp the newest one whose every change is there"
        )
        return (NeedsHuman(finding=finding, why=why),)
    given, name = seen.configured_table
    schema = given or "main"
    if seen.dialect == "postgresql" and given is None:
        schema = next(iter(seen.identity.search_path), "public")
    made = creation(seen, schema, name)
    return place.record(finding, seen, table=(schema, name), before=(), first=(made,))


def creation(seen: Observation, schema: str, name: str) -> Sql:
    """CREATE TABLE as alembic writes it, wider where an id is longer than it allows for."""
    longest = rows.longest_id(seen.history)
    width = WIDTH if longest <= WIDTH else max(rows.ROOMY, longest)
    table = quoted(schema, name)
    return Sql(
        run=f"CREATE TABLE {table} (version_num VARCHAR({width}) NOT NULL, "
        f"CONSTRAINT {quoted(name + '_pkc')} PRIMARY KEY (version_num))",
        undo=(f"DROP TABLE {table}",),
        touches=f"version table {schema}.{name}",
    )


def _where(seen: Observation) -> tuple[Evidence, ...]:
    return (standing.how_known(seen),) if seen.has("position") else ()


def _tables(tables: list[str]) -> Evidence:
    more = [f"... and {len(tables) - SHOWN} more"] if len(tables) > SHOWN else []
    return Evidence(title="tables of the database", text="\n".join(tables[:SHOWN] + more))


def _version_tables(seen: Observation) -> Evidence:
    lines = [f"{t.label}: {t.told}" for t in seen.version_tables]
    return Evidence(
        title="version tables in any schema", text="\n".join(lines) or "none, in no schema"
    )


def _history(seen: Observation) -> Evidence:
    ends = [", ".join(ids) or "(none)" for ids in (seen.history.bases, seen.history.heads)]
    return Evidence(
        title=f"the history in {seen.script_location}",
        text=f"{len(seen.history.by_id)} revisions, from {ends[0]} to {ends[1]}",
    )


CHECK = Check(
    code="MD401",
    name="version-table-missing",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
