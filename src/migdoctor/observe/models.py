"""Live schema against the project's models, by alembic's own autogenerate in the agent.

The project's code never gets a connection that could write to the target: on SQLite it works on
an empty clone of the schema, on PostgreSQL on a connection that the server itself keeps read-only.
"""

import hashlib
import json
import re
from collections.abc import Callable

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import ModelDiff, TmpTable
from migdoctor.model import Observation
from migdoctor.observe import kept
from migdoctor.shadow.copies import schema_clone
from migdoctor.target import Target

READ_ONLY = "-c default_transaction_read_only=on -c lock_timeout=2000 -c statement_timeout=60000"


def compare(target: Target, session: Session, seen: Observation) -> ModelDiff:
    """What autogenerate would say. NotObserved when a table is locked; AgentFailed as by env.py."""
    return comparing(target, session, seen)()


def comparing(target: Target, session: Session, seen: Observation) -> Callable[[], ModelDiff]:
    """The same, called for later: on a server the agent is at it meanwhile."""
    if seen.schema.unreadable:
        tables = ", ".join(f"{t} ({why})" for t, why in sorted(seen.schema.unreadable.items()))
        raise NotObserved("models", f"reflection would wait for {tables}")
    rev_id = hashlib.sha256(seen.fingerprint().encode()).hexdigest()[:12]
    name = _name(target)
    known = kept.load(name) if name else None

    def keep(found: ModelDiff) -> ModelDiff:
        # Whether what is kept still holds is for the agent to say, after env.py has run: only it
        # knows what went into the models (project/traced.py). What found something is not kept.
        if name and target.agent.kept and target.agent.kept != known:
            kept.save(name, target.agent.kept)
        return found

    def of_clone() -> ModelDiff:
        with schema_clone(session) as clone:
            return keep(target.agent.models(clone.url, rev_id=rev_id, kept=known))

    if session.dialect == "sqlite":
        return of_clone
    arguments = dict(session.address.connect_args) | {"options": READ_ONLY}
    answer = target.agent.comparing(session.address.url, arguments, rev_id=rev_id, kept=known)
    return lambda: keep(answer())


def _name(target: Target) -> str | None:
    """The place for one project and database; None for a copy, which nobody looks at again."""
    if target.moved or target.address is None:
        return None
    project = target.project
    words = [project.script_location, project.config_file, project.section, target.address.masked]
    digest = hashlib.sha256(json.dumps([*map(str, words), project.x, project.via]).encode())
    return f"{digest.hexdigest()}.models"


def indexes_for(target: Target, session: Session, tmp: TmpTable) -> tuple[str, ...]:
    """CREATE INDEX statements that the models know for a table that must be rescued.

    Those that need a column which the rescued table does not have are left out: the models may be
    ahead of the revision that failed.
    """
    with schema_clone(session) as clone:
        known = target.agent.indexes(clone.url, tmp.original)
    return tuple(sql for sql in known if _columns(sql) <= set(tmp.columns))


def _columns(sql: str) -> set[str]:
    """Names between the parentheses of a CREATE INDEX statement."""
    inside = sql.partition("(")[2].rpartition(")")[0]
    words = re.findall(r'"((?:[^"]|"")+)"|([A-Za-z_]\w*)', inside)
    return {a.replace('""', '"') or b for a, b in words} - {"ASC", "DESC", "COLLATE", "NOCASE"}
