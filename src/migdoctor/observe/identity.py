"""Which database this is, and what this role may do there (incidents 15, 77, 78)."""

import getpass
import os
import sqlite3
from pathlib import Path

from migdoctor.connect import Session
from migdoctor.errors import NotObserved
from migdoctor.facts import Identity, VersionTable
from migdoctor.model import literal, quoted

# `{schema}` is where the version table is, or would be made; `{table}` its name, or ''. Tables of
# extensions are left out: nobody but the extension changes them.
_POSTGRESQL = """
WITH home AS (
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname = {schema}
), version AS (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN home ON c.relnamespace = home.oid
  WHERE c.relname = {table}
)
SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database()::text,
       current_user::text, pg_catalog.pg_is_in_recovery(),
       coalesce(host(pg_catalog.inet_server_addr()), ''),
       CASE WHEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT')
            THEN pg_catalog.pg_database_size(pg_catalog.current_database()) END,
       (SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') FROM home),
       (SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') FROM home),
       ARRAY(SELECT wanted FROM version,
               pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) wanted
             WHERE NOT pg_catalog.has_table_privilege(version.oid, wanted)),
       ARRAY(SELECT ARRAY[c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text]
             FROM pg_catalog.pg_class c JOIN home ON c.relnamespace = home.oid
             WHERE c.relkind IN ('r', 'p') AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                               WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                 AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY 1)"""


def read(session: Session, version_table: VersionTable | None) -> Identity:
    """Identity and power of this connection. Raises NotObserved("identity", why)."""
    if session.dialect == "sqlite":
        return _sqlite(session)
    try:
        return _postgresql(session, version_table)
    except NotObserved as error:
        raise NotObserved("identity", error.why) from None


def _postgresql(session: Session, table: VersionTable | None) -> Identity:
    schema = table.schema if table else next(iter(session.search_path), "")
    name = table.name if table else ""
    question = _POSTGRESQL.format(schema=literal(schema), table=literal(name))
    (row,) = session.query(question)
    version, database, role, replica, server, size, *powers = row
    lacks, statements = _lacking(role, session.shut_path, schema, name, *powers)
    return Identity(
        dialect="postgresql",
        server_version=version.split(" ")[0],
        database=database,
        host=server or _host(session),
        role=role,
        search_path=session.search_path,
        read_only=_read_only(replica, session.own_read_only),
        lacks=lacks,
        statements=statements,
        size=size,
        note=session.note,
    )


def _host(session: Session) -> str:
    """The host of the address: a name, or the folder of a unix socket."""
    return session.address.host


def _read_only(replica: bool, by_default: bool) -> str:
    if replica:
        return "in recovery: this is a replica, which takes no writes and may lag behind"
    if by_default:
        return "default_transaction_read_only is on for this role, database or server"
    return ""


def _lacking(
    role: str,
    shut: tuple[str, ...],
    schema: str,
    table: str,
    usage: bool | None,
    create: bool | None,
    rights: list[str],
    foreign: list[list[str]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(sentences, statements) for what a migration needs and this role cannot do."""
    lacks: list[str] = []
    statements: list[str] = []
    for name in shut:
        lacks.append(f"{role} may not look up names in schema {name} of its search_path (USAGE)")
        statements.append(f"GRANT USAGE ON SCHEMA {quoted(name)} TO {quoted(role)}")
    if usage is None and not shut:
        lacks.append("no schema of the search_path exists: there is nowhere to create tables")
    if usage is False:
        lacks.append(f"{role} may not look up names in schema {schema} (USAGE)")
        statements.append(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(role)}")
    if create is False:
        lacks.append(f"{role} may not create tables in schema {schema} (CREATE)")
        statements.append(f"GRANT CREATE ON SCHEMA {quoted(schema)} TO {quoted(role)}")
    if rights:
        wanted = ", ".join(rights)
        lacks.append(f"{role} may not {wanted} on the version table {schema}.{table}")
        statements.append(f"GRANT {wanted} ON {quoted(schema, table)} TO {quoted(role)}")
    others = [(name, owner) for name, owner in foreign if name != table]
    if others:
        owners = sorted({owner for _, owner in others})
        names = ", ".join(name for name, _ in others[:5]) + (", ..." if len(others) > 5 else "")
        lacks.append(
            f"{role} does not own {len(others)} table{'s' * (len(others) > 1)} of schema {schema} "
            f"({names}; owner {', '.join(owners)}): ALTER and DROP will be refused"
        )
        # Not GRANT owner TO role: the owner may be a superuser, and all its rights would go along.
        statements += [
            f"ALTER TABLE {quoted(schema, name)} OWNER TO {quoted(role)}" for name, _ in others
        ]
    return tuple(lacks), tuple(statements)


def _sqlite(session: Session) -> Identity:
    path = session.address.path
    assert path is not None
    return Identity(
        dialect="sqlite",
        server_version=sqlite3.sqlite_version,
        database=str(path.resolve()),
        host="",
        role=_user(),
        search_path=("main",),
        read_only=_file_read_only(path),
        size=path.stat().st_size,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without an entry in passwd
        return str(os.getuid())


def _file_read_only(path: Path) -> str:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only"
    if not os.access(path, os.W_OK):
        return f"this user may not write to {path}"
    if not os.access(path.parent, os.W_OK):
        return f"this user may not write to the folder {path.parent}, where the journal goes"
    return ""
