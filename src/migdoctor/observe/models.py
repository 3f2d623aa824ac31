"""Live schema against the project's models, by alembic's own autogenerate in the agent.

The project's code never gets a connection that could write to the target: on SQLite it works on
an empty clone of the schema, on PostgreSQL on a connection that the server itself keeps read-only.
"""

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import ModelDiff
from migdoctor.model import Observation
from migdoctor.shadow.copies import schema_clone
from migdoctor.target import Target


def compare(target: Target, session: Session, seen: Observation) -> ModelDiff:
    """What autogenerate would say. NotObserved when a table is locked or env.py fails there."""
    if seen.schema.unreadable:
        tables = ", ".join(f"{t} ({why})" for t, why in sorted(seen.schema.unreadable.items()))
        raise NotObserved("models", f"reflection would wait for {tables}")
    if session.dialect == "sqlite":
        with schema_clone(session) as clone:
            return target.agent.models(clone)
    return target.agent.models(session.address)
