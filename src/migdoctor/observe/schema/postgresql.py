"""Facts of a PostgreSQL database: six statements over pg_catalog, whatever the number of tables.

pg_catalog shows everything to every role, information_schema does not (incident 73). The functions
that turn expressions back into text open the relations they name, and so wait for an uncommitted
ALTER: relations that somebody holds, and what depends on them, never reach these functions.
"""

import re
from collections.abc import Iterator, Mapping

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import FactKey, Schema
from migdoctor.model import literal
from migdoctor.observe import activity
from migdoctor.observe.schema import postgresql_queries as queries

_LOCK_TIMEOUT = "55P03"
_ODD_SPACE = re.compile(r"  |[^\S ]")
_LITERAL_OR_SPACE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\s+")
# A string, or a name with the dot behind it, or a name that only looks like one (1.5 has none).
_QUALIFIER = re.compile(
    r"'(?:[^']|'')*'|(?P<gone>(?:\"(?:[^\"]|\"\")+\"|(?<![\w$])[^\W\d][\w$]*)\.(?=[\w\"*]))"
    r"|\"(?:[^\"]|\"\")+\""
)


def read(session: Session, locked: Mapping[str, int]) -> Schema:
    """All facts. A relation that gets locked between two statements costs one more try."""
    try:
        return _read(session, locked)
    except NotObserved as error:
        if _LOCK_TIMEOUT not in error.why:
            raise
        return _read(session, {**locked, **activity.read(session).exclusive})


def _read(session: Session, locked: Mapping[str, int]) -> Schema:
    names = ", ".join(literal(name) for name in sorted(locked))
    facts: dict[FactKey, str] = {}
    unreadable: dict[str, str] = {}
    for statement in queries.ALL:
        sql = statement(session.server_version)
        for schema, table, kind, name, detail in session.query(sql.replace("{locked}", names)):
            if kind == "unreadable":
                unreadable[".".join(p for p in (schema, table, name) if p)] = _why(detail, locked)
            else:
                facts[FactKey(schema, table, kind, name)] = canonical(kind, detail)
    return Schema(facts=facts, unreadable=unreadable)


def _why(relation: str, locked: Mapping[str, int]) -> str:
    return (
        f"session {locked.get(relation, '?')} holds {relation}, or an index or part of it, in "
        "ACCESS EXCLUSIVE mode, or waits for that"
    )


def canonical(kind: str, detail: str) -> str:
    """The detail as every server version prints it.

    Up to 15 views are printed with qualifiers that 16 and newer leave out, so they go everywhere.
    """
    if kind in ("view", "matview"):
        detail = _QUALIFIER.sub(lambda m: "" if m["gone"] else m[0], detail.replace(";", "", 1))
    if _ODD_SPACE.search(detail):  # few have any
        detail = "".join(_folded(detail))
    return detail.strip()


def _folded(text: str) -> Iterator[str]:
    """White space outside literals and quoted names as one blank."""
    position = 0
    for match in _LITERAL_OR_SPACE.finditer(text):
        yield text[position : match.start()]
        yield " " if match[0].isspace() else match[0]
        position = match.end()
    yield text[position:]
