"""Observations of a schema at a known place of a recorded history, for MD5xx and MD6xx."""

from collections.abc import Mapping
from typing import Any

from migdoctor.errors import NotApplicable
from migdoctor.facts import FactKey, ModelDiff, Schema
from migdoctor.graph import History, Revision
from migdoctor.locate import locate
from migdoctor.model import Check, Cure, Finding, Observation, Remedy, Sql, Stamp
from migdoctor.timeline import Recorded, Timeline
from tests.facts import CHAIN, healthy, version_table


def fact(table: str, kind: str, name: str = "", schema: str = "main") -> FactKey:
    return FactKey(schema, table, kind, name)


def table(name: str, *columns: str, schema: str = "main") -> dict[FactKey, str]:
    """The facts of a table whose columns are all integers."""
    facts = {fact(name, "column", c, schema): "INTEGER" for c in columns}
    return {fact(name, "table", schema=schema): "table"} | facts


def create(name: str, *columns: str, schema: str = "main") -> Recorded:
    return Recorded(sql=f"CREATE TABLE {name} (...)", added=table(name, *columns, schema=schema))


def add_column(owner: str, name: str, detail: str = "TEXT", schema: str = "main") -> Recorded:
    return Recorded(
        sql=f"ALTER TABLE {owner} ADD COLUMN {name} {detail}",
        added={fact(owner, "column", name, schema): detail},
    )


def index(owner: str, name: str, schema: str = "main") -> Recorded:
    return Recorded(
        sql=f"CREATE INDEX {name} ON {owner} (...)",
        added={fact(owner, "index", name, schema): "(...)"},
    )


def data(sql: str = "UPDATE users SET nickname = ''") -> Recorded:
    return Recorded(sql=sql, data=True)


STATEMENTS: Mapping[str, tuple[Recorded, ...]] = {
    "aaa1": (create("users", "id", "email"),),
    "bbb2": (create("orders", "id", "total"), index("orders", "ix_orders_total")),
    "ccc3": (add_column("users", "nickname"), create("notes", "id")),
}


def timeline(statements: Mapping[str, tuple[Recorded, ...]] = STATEMENTS, **more: Any) -> Timeline:
    told: dict[str, Any] = {"dialect": "sqlite", "rung": "replay"}
    return Timeline(revisions=statements, **(told | more))


# Three revisions of which the middle one was taken back by hand, or the last one made by hand:
# nothing can tell.
THREE = timeline(
    {
        "aaa1": (create("a", "x"),),
        "bbb2": (add_column("a", "b"), add_column("a", "d")),
        "ccc3": (add_column("a", "c"),),
    }
)
GONE = (fact("a", "column", "b"), fact("a", "column", "d"))


def placed(
    *rows: str | None,
    at: str = "ccc3",
    steps: int = 0,
    without: tuple[FactKey, ...] = (),
    extra: Mapping[FactKey, str] | None = None,
    history: History = CHAIN,
    recorded: Timeline | None = None,
    **changes: Any,
) -> Observation:
    """Version rows, and a schema after revision `at` and some steps of the next one.

    `without` and `extra` are changes by hand.
    """
    told = recorded or timeline()
    done = history.closure((at,))
    rest = [id for id in told.units if id not in done]
    live = told.state(done, told.units[rest[0]][:steps] if rest else ())
    live = {k: v for k, v in live.items() if k not in without} | dict(extra or {})
    known = [row for row in rows if row in history.by_id]
    home = "main" if told.dialect == "sqlite" else "public"
    facts: dict[str, Any] = {
        "dialect": told.dialect,
        "history": history,
        "version_tables": (version_table(*rows, schema=home),),
        "schema": Schema(facts=live),
        "timeline": told,
        "position": locate(told, history, live, [row for row in known if row]),
        "models": ModelDiff(),
    }
    seen = healthy(**(facts | changes))
    if "models" not in changes:
        return _without_models(seen)
    return seen


def _without_models(seen: Observation) -> Observation:
    return seen.without("models", NotApplicable("models", "facts of a test"))


def history(*revisions: Revision) -> History:
    return History(revisions=revisions)


# --- answers ------------------------------------------------------------------------------------


def only(check: Check, seen: Observation) -> Finding:
    (finding,) = check.find(seen)
    return finding


def cures(check: Check, seen: Observation) -> tuple[Cure, ...]:
    """The cures of the only finding, the default first."""
    found = check.remedy(only(check, seen), seen)
    return found if isinstance(found, tuple) else (found,)


def remedies(check: Check, seen: Observation) -> dict[str, Remedy]:
    return {cure.key: cure for cure in cures(check, seen) if isinstance(cure, Remedy)}


def ran(remedy: Remedy) -> list[str]:
    """The statements of a remedy without its stamps."""
    return [step.run for step in remedy.steps if isinstance(step, Sql)]


def stamped(remedy: Remedy) -> list[tuple[str | None, ...]]:
    """The rows after each stamp of a remedy."""
    return [step.after for step in remedy.steps if isinstance(step, Stamp)]
