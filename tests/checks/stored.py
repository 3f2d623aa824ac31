"""Observations with given version rows, histories or tmp tables, for MD3xx and MD4xx."""

from typing import Any

from migdoctor.facts import FactKey, Schema, Sighting, TmpTable
from migdoctor.graph import Broken, History, Revision
from migdoctor.model import Check, Cure, Finding, Observation, Remedy, Sql, Stamp, stamp_statements
from tests.facts import CHAIN, healthy, version_table

USERS = Schema(facts={FactKey("main", "users", "table", "users"): ""})
EMPTY = Schema(facts={})


def history(*revisions: Revision, broken: tuple[Broken, ...] = ()) -> History:
    return History(revisions=revisions, broken=broken)


DDL = "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL\n)"


def stored(*rows: str | None, **changes: Any) -> Observation:
    """A well database but for its version rows; history aaa1 -> bbb2 -> ccc3 if none is given."""
    facts = {"version_tables": (version_table(*rows, ddl=DDL),), "history": CHAIN, "schema": USERS}
    return healthy(**(facts | changes))


def on_postgresql(*rows: str | None, width: int | None = 32, **changes: Any) -> Observation:
    table = version_table(*rows, schema="public", width=width, ddl=None)
    return stored(**({"dialect": "postgresql", "version_tables": (table,)} | changes))


def sighting(id: str, *leads_to: str) -> Sighting:
    return Sighting(
        id=id, source="git", where="branch gifts", path=f"versions/{id}.py", leads_to=leads_to
    )


def tmp_table(rows: int, original_rows: int | None, **changes: Any) -> TmpTable:
    facts: dict[str, Any] = {
        "name": "_alembic_tmp_users",
        "original": "users",
        "rows": rows,
        "original_rows": original_rows,
        "ddl": "CREATE TABLE _alembic_tmp_users (id INTEGER NOT NULL, nick TEXT NOT NULL)",
        "columns": ("id", "nick"),
    }
    return TmpTable(**(facts | changes))


def left(*tables: TmpTable, **changes: Any) -> Observation:
    """A well database but for these tmp tables."""
    return healthy(**({"tmp_tables": tables, "schema": USERS} | changes))


def only(check: Check, seen: Observation) -> Finding:
    (finding,) = check.find(seen)
    return finding


def cures(check: Check, seen: Observation) -> tuple[Cure, ...]:
    """The cures of the only finding, the default first."""
    found = check.remedy(only(check, seen), seen)
    return found if isinstance(found, tuple) else (found,)


def statements(cure: Cure, dialect: str = "sqlite") -> list[str]:
    """What a remedy would run, in order."""
    assert isinstance(cure, Remedy)
    out = []
    for step in cure.steps:
        assert isinstance(step, Sql | Stamp)
        out += (
            [step.run]
            if isinstance(step, Sql)
            else [sql for sql, _rows in stamp_statements(step, dialect)]
        )
    return out


def after(cure: Cure) -> list[str | None]:
    """The rows of the version table after a cure that stamps."""
    assert isinstance(cure, Remedy)
    (stamp,) = (step for step in cure.steps if isinstance(step, Stamp))
    return list(stamp.after)
