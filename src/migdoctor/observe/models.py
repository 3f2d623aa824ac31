"""Live schema against the project's models, by alembic's own autogenerate in the agent.

The project's code never gets a connection that could write to the target: on SQLite it works on
an empty clone of the schema, on PostgreSQL on a connection that the server itself keeps read-only.
"""

import hashlib
import re

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import ModelDiff, TmpTable
from migdoctor.model import Observation
from migdoctor.shadow.copies import schema_clone
from migdoctor.target import Target

READ_ONLY = "-c default_transaction_read_only=on -c lock_timeout=2000 -c statement_timeout=60000"


def compare(target: Target, session: Session, seen: Observation) -> ModelDiff:
    """What autogenerate would say. NotObserved when a table is locked; AgentFailed as by env.py."""
    if seen.schema.unreadable:
        tables = ", ".join(f"{t} ({why})" for t, why in sorted(seen.schema.unreadable.items()))
        raise NotObserved("models", f"reflection would wait for {tables}")
    rev_id = hashlib.sha256(seen.fingerprint().encode()).hexdigest()[:12]
    if session.dialect == "sqlite":
        with schema_clone(session) as clone:
            return target.agent.models(clone.url, rev_id=rev_id)
    arguments = dict(session.address.connect_args) | {"options": READ_ONLY}
    return target.agent.models(session.address.url, arguments, rev_id=rev_id)


def indexes_for(target: Target, session: Session, tmp: TmpTable) -> tuple[str, ...]:
    """CREATE INDEX statements that the models know for a table that must be rescued.

    Those that need a column which the rescued table does not have are left out: the models may be
    ahead of the revision that failed.
    """
    with schema_clone(session) as clone:
        target.agent.models(clone.url)
    known = target.agent.indexes(tmp.original)
    return tuple(sql for sql in known if _columns(sql) <= set(tmp.columns))


def _columns(sql: str) -> set[str]:
    """Names between the parentheses of a CREATE INDEX statement."""
    inside = sql.partition("(")[2].rpartition(")")[0]
    words = re.findall(r'"((?:[^"]|"")+)"|([A-Za-z_]\w*)', inside)
    return {a.replace('""', '"') or b for a, b in words} - {"ASC", "DESC", "COLLATE", "NOCASE"}
