"""Facts for the tests of leftovers and health: a replayed history, and what is sick beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migdoctor.facts import FactKey, Health, Origin, Schema
from migdoctor.model import Observation
from migdoctor.timeline import Recorded, Timeline
from tests.facts import healthy, version_table


def table(name: str) -> dict[FactKey, str]:
    return {
        FactKey("public", name, "table", ""): "table",
        FactKey("public", name, "column", "id"): "integer NOT NULL",
    }


def made(*added: Mapping[FactKey, str], gone: Mapping[FactKey, str] | None = None) -> Recorded:
    """One recorded statement."""
    together = {key: detail for facts in added for key, detail in facts.items()}
    return Recorded(sql="...", added=together, removed=dict(gone or {}))


def timeline(**revisions: Recorded) -> Timeline:
    """A replay of aaa1, bbb2 and ccc3, of which only those that are given did something."""
    told = {"aaa1": made(table("users")), "bbb2": made(), "ccc3": made()} | revisions
    return Timeline(
        dialect="postgresql", rung="replay", revisions={id: (r,) for id, r in told.items()}
    )


def ailing(
    *, row: str = "ccc3", facts: Mapping[FactKey, str] | None = None, **more: Any
) -> Observation:
    """A PostgreSQL database of the usual chain, recorded at `row`."""
    told: dict[str, Any] = {
        "dialect": "postgresql",
        "version_tables": (version_table(row, schema="public", width=32),),
        "schema": Schema(facts={**table("users"), **(facts or {})}),
        "timeline": timeline(),
        "health": Health(),
    }
    return healthy(**(told | more))


def origins(name: str, revision: str, *, proven: bool = True) -> dict[str, Origin]:
    return {
        name: Origin(revision=revision, path=Path(f"versions/{revision}.py"), line=7, proven=proven)
    }
