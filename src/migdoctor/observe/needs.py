"""What pending revisions need of the server and this role cannot give (incident 52).

Read from the replay: the schemas and extensions that a pending revision makes, and the error at
which the replay stopped.
"""

import re
from collections.abc import Iterator

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.model import Observation, literal, quoted

# How the server says that something is not there (SQLSTATE 3F000, 0A000, 42501, 42704).
_NO_SCHEMA = re.compile(r'schema "([^"]+)" does not exist')
_NO_EXTENSION = re.compile(r'extension "([^"]+)" (?:is not available|must be installed)')

_POWERS = """
SELECT has_database_privilege(current_database(), 'CREATE'), current_user::text,
  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  ARRAY(SELECT ARRAY[v.name::text, bool_or(v.trusted OR NOT v.superuser)::text]
        FROM pg_available_extension_versions v WHERE v.name IN ({names}) GROUP BY v.name)"""


def read(session: Session, seen: Observation) -> tuple[tuple[str, str], ...]:
    """(what is lacking, statement for a DBA or ''). Empty where nothing is pending."""
    if session.dialect == "sqlite":
        return ()
    schemas, extensions = _wanted(seen)
    schemas -= {key.schema for key in seen.schema.facts if key.kind == "schema"}
    extensions -= {key.name for key in seen.schema.facts if key.kind == "extension"}
    if not schemas and not extensions:
        return ()
    names = ", ".join(literal(name) for name in sorted(extensions)) or "''"
    try:
        ((create, role, superuser, available),) = session.query(_POWERS.format(names=names))
    except NotObserved as error:
        raise NotObserved("needs", error.why) from None
    failed = seen.timeline.failed[1] if seen.timeline.failed else ""
    found = [*_schemas(sorted(schemas), create, role, _NO_SCHEMA.findall(failed))]
    trusted = {name: yes == "true" for name, yes in available}
    found += _extensions(sorted(extensions), create, superuser, role, trusted)
    return tuple(found)


def _wanted(seen: Observation) -> tuple[set[str], set[str]]:
    """Schemas and extensions that pending revisions make, or at which the replay stopped."""
    claimed = seen.history.closure(seen.stamped)
    added = [
        key
        for id, statements in seen.timeline.revisions.items()
        if id not in claimed
        for statement in statements
        for key in statement.added
    ]
    schemas = {key.schema for key in added if key.kind == "schema"}
    extensions = {key.name for key in added if key.kind == "extension"}
    if seen.timeline.failed and seen.timeline.failed[0] not in claimed:
        schemas |= set(_NO_SCHEMA.findall(seen.timeline.failed[1]))
        extensions |= set(_NO_EXTENSION.findall(seen.timeline.failed[1]))
    return schemas, extensions


def _schemas(
    wanted: list[str], create: bool, role: str, missing: list[str]
) -> Iterator[tuple[str, str]]:
    """A schema that a revision makes itself needs the right to; another has to be there before."""
    for name in wanted:
        statement = f"CREATE SCHEMA {quoted(name)} AUTHORIZATION {quoted(role)}"
        if name in missing:
            yield f"schema {name} is not there, and no revision makes it", statement
        elif not create:
            yield f"{role} may not create schema {name} (CREATE on the database)", statement


def _extensions(
    wanted: list[str], create: bool, superuser: bool, role: str, trusted: dict[str, bool]
) -> Iterator[tuple[str, str]]:
    for name in wanted:
        statement = f"CREATE EXTENSION IF NOT EXISTS {quoted(name)}"
        if name not in trusted:
            yield f"extension {name} is not installed on this server: its package is missing", ""
        elif not superuser and not (trusted[name] and create):
            yield f"{role} may not create extension {name}", statement
