"""Marked empty databases on which a project's history is replayed."""

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from migdoctor.connect import Address, Session, StatementFailed, open_writing
from migdoctor.errors import DoctorError
from migdoctor.model import quoted
from migdoctor.shadow import host, scratch

# Functions of extensions that the shadow may lack, in terms of what every server has.
SHIMS = {
    "uuid-ossp": ("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"),
    "pgcrypto": ("gen_random_uuid",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What of a live PostgreSQL database a history takes for granted.

    `path` is the role's search_path, `schemas` those to make beforehand (beside the path's),
    `extensions` maps names to schemas; `roles` are only names. `public` False: there is no
    schema public. `versions` is a version table to make beforehand, as (schema, name, width): the
    one that alembic would make has 32 characters, too few for longer ids (incident 12).
    """

    path: tuple[str, ...] = ("public",)
    schemas: tuple[str, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    public: bool = True
    versions: tuple[str, str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One empty database; `marker` is what `marker_query` answers on it, and nowhere else."""

    url: str = field(repr=False)  # may hold a secret
    marker: str
    marker_query: str
    pragmas: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


@contextlib.contextmanager
def sqlite_stage() -> Iterator[Stage]:
    """An empty SQLite file; the mark is the application id in its header."""
    with scratch.folder() as folder:
        marker = secrets.randbelow(2**31 - 1) + 1
        path = folder / "shadow.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA application_id = {marker}")
        yield Stage(
            url=f"sqlite:///{path}",
            marker=str(marker),
            marker_query="PRAGMA application_id",
            pragmas=("PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY"),
        )


@contextlib.contextmanager
def postgresql_stage(
    scene: Scene, setup: Callable[..., str], shadow: Address | None = None
) -> Iterator[Stage]:
    """An empty database of the shadow server, after `setup(version)`; the mark is a row in it.

    `shadow` is the server of --shadow-url, None: the private one. Where its role may not make event
    triggers, the database is set up by `setup(version, triggers=False)`. Raises
    NotObserved("shadow", why) where there is no server.
    """
    there = host.of(shadow)
    with there.database("replay") as address:
        marker = secrets.token_hex(16)
        with open_writing(address) as session:
            lacking = _furnish(session, scene, roles=there.private)
            _set_up(session, setup)
            session.run(f"INSERT INTO migdoctor.marker VALUES ('{marker}')")
            # Made last: it changes what a name without a schema means.
            path = ", ".join(map(quoted, scene.path)) or "''"
            name = quoted(session.query("SELECT current_database()")[0][0])
            session.run(f"ALTER DATABASE {name} SET search_path = {path}")
        yield Stage(
            url=address.url,
            marker=marker,
            marker_query="SELECT token FROM migdoctor.marker",
            lacking=lacking,
        )


def _set_up(session: Session, setup: Callable[..., str]) -> None:
    try:
        session.run(setup(session.server_version))
    except StatementFailed as error:
        if error.sqlstate != "42501":  # insufficient_privilege: event triggers need a superuser
            raise
        session.run(setup(session.server_version, triggers=False))


def _furnish(session: Session, scene: Scene, *, roles: bool) -> tuple[str, ...]:
    """Make what the history takes for granted; returns the extensions that cannot be had.

    Roles belong to a whole server: without `roles` none is made, and a statement that names one
    which is not there fails, as it would on any server without it.
    """
    if not scene.public:
        session.run("DROP SCHEMA public")
    for schema in dict.fromkeys((*scene.path, *scene.schemas)):
        session.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    if scene.versions:
        schema, name, width = scene.versions
        session.run(
            f"CREATE TABLE {quoted(schema, name)} (version_num varchar({width}) NOT NULL,"
            f" CONSTRAINT {quoted(f'{name}_pkc')} PRIMARY KEY (version_num))"
        )
    for role in scene.roles if roles else ():
        with contextlib.suppress(DoctorError):  # there already: roles belong to the whole server
            session.run(f"CREATE ROLE {quoted(role)} NOLOGIN")
    lacking = []
    for extension, schema in scene.extensions.items():
        try:
            session.run(f"CREATE EXTENSION {quoted(extension)} SCHEMA {quoted(schema)} CASCADE")
        except DoctorError:
            lacking.append(extension)
            for function in SHIMS.get(extension, ()):
                session.run(
                    f"CREATE FUNCTION {quoted(schema, function)}() RETURNS uuid LANGUAGE sql"
                    " AS 'SELECT pg_catalog.gen_random_uuid()'"
                )
    return tuple(lacking)
