"""A well database as plain facts, for the tests of checks: change one fact and see who speaks."""

from pathlib import Path
from typing import Any

from migdoctor.errors import NotApplicable
from migdoctor.facts import Activity, FactKey, Health, Identity, ModelDiff, Schema, VersionTable
from migdoctor.graph import History, Revision
from migdoctor.model import Observation


def revision(id: str, *down: str, **more: Any) -> Revision:
    """One revision file of the shared chain's kind."""
    told: dict[str, Any] = {"depends_on": (), "labels": (), "line": 3, "message": id, "sha": id}
    return Revision(id=id, down=down, path=Path(f"versions/{id}.py"), **(told | more))


def version_table(*rows: str | None, **more: Any) -> VersionTable:
    """The configured version table of a SQLite database, with these rows."""
    told: dict[str, Any] = {
        "schema": "main",
        "name": "alembic_version",
        "width": None,
        "primary_key": True,
        "configured": True,
    }
    return VersionTable(rows=rows, **(told | more))


CHAIN = History(
    revisions=(revision("aaa1"), revision("bbb2", "aaa1"), revision("ccc3", "bbb2")),
)
TABLES = Schema(
    facts={
        FactKey("main", "users", "table", ""): "table",
        FactKey("main", "users", "column", "id"): "INTEGER NOT NULL",
        FactKey("main", "orders", "table", ""): "table",
        FactKey("main", "orders", "column", "id"): "INTEGER NOT NULL",
    }
)
IDENTITY = Identity(
    dialect="sqlite",
    server_version="3.45.0",
    database="/srv/app.db",
    host="",
    role="",
    search_path=("main",),
    size=8192,
)


def healthy(**changes: Any) -> Observation:
    """A SQLite database at head of the chain aaa1 -> bbb2 -> ccc3, seen whole, without fault."""
    well = Observation(
        {
            "merge_draft": NotApplicable("merge_draft", "there is nothing to merge"),
            "timeline": NotApplicable("timeline", "facts of a test"),
            "position": NotApplicable("position", "facts of a test"),
        },
        config_error=None,
        connect_error=None,
        dialect="sqlite",
        script_location="migrations",
        locations=(Path("versions"),),
        writable_files=True,
        capture_failure=None,
        address_differences=(),
        history=CHAIN,
        configured_table=(None, "alembic_version"),
        version_tables=(version_table("ccc3"),),
        schema=TABLES,
        tmp_tables=(),
        quarantined=(),
        activity=Activity(),
        identity=IDENTITY,
        copies=(),
        needs=(),
        health=Health(),
        sequences=(),
        orphans=(),
        origins={},
        models=ModelDiff(),
        sightings={},
    )
    return well.having(**changes)
