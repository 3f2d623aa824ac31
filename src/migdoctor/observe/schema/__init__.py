"""The facts of a live schema, in a number of statements that no table count changes."""

from collections.abc import Mapping

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import Schema
from migdoctor.observe.schema import postgresql, sqlite


def read(session: Session, locked: Mapping[str, int]) -> Schema:
    """All facts of all user schemas. Raises NotObserved("schema", why).

    `locked` maps "schema.table" to the session that holds, or waits for, the relation in ACCESS
    EXCLUSIVE mode: those are not touched, and listed as unreadable.
    """
    try:
        if session.dialect == "sqlite":
            return sqlite.read(session)
        return postgresql.read(session, locked)
    except NotObserved as error:
        raise NotObserved("schema", error.why) from None
