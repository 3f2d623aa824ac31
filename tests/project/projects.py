"""Small projects for the tests: real alembic folders with env.py files of many shapes."""

import contextlib
import socket
import sqlite3
import textwrap
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

MAKO = '''\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''

MODELS = """\
import sqlalchemy as sa

metadata = sa.MetaData(naming_convention={
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
})
users = sa.Table(
    "users", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.String(120), nullable=False, unique=True),
    sa.Column("nickname", sa.String(40)),
)
orders = sa.Table(
    "orders", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("total", sa.Integer, nullable=False),
)
"""

LIKE_MODELS = """
    CREATE TABLE users (id INTEGER NOT NULL, email VARCHAR(120) NOT NULL, nickname VARCHAR(40),
        CONSTRAINT pk_users PRIMARY KEY (id), CONSTRAINT uq_users_email UNIQUE (email));
    CREATE TABLE orders (id INTEGER NOT NULL, user_id INTEGER NOT NULL, total INTEGER NOT NULL,
        CONSTRAINT pk_orders PRIMARY KEY (id),
        CONSTRAINT fk_orders_user_id_users FOREIGN KEY (user_id) REFERENCES users (id));
    CREATE INDEX ix_orders_user_id ON orders (user_id);
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)
"""
SYNC = """\
from alembic import context
from sqlalchemy import engine_from_config, pool
import models

config = context.config


def offline():
    context.configure(url=config.get_main_option("sqlalchemy.url"),
                      target_metadata=models.metadata)
    with context.begin_transaction():
        context.run_migrations()


def online():
    engine = engine_from_config(config.get_section(config.config_ini_section),
                                prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=models.metadata,
                          render_as_batch=connection.dialect.name == "sqlite",
                          compare_type=True)
        with context.begin_transaction():
            context.run_migrations()


offline() if context.is_offline_mode() else online()
"""


def project(
    folder: Path,
    *,
    env: str = SYNC,
    url: str | None = "sqlite:///live.db",
    files: Mapping[str, str] | None = None,
    ini: str = "",
    revisions: tuple[tuple[str, str | None], ...] = (("a1", None),),
) -> Path:
    """An alembic project in `folder`; `ini` is appended to the [alembic] section."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    address = f"sqlalchemy.url = {url.replace('%', '%%')}\n" if url else ""
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n"
        f"path_separator = os\n{address}{ini}"
    )
    (folder / "migrations" / "env.py").write_text(textwrap.dedent(env))
    (folder / "migrations" / "script.py.mako").write_text(MAKO)
    (folder / "models.py").write_text(MODELS)
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    for revision, down in revisions:
        (versions / f"{revision}.py").write_text(
            f"revision = {revision!r}\ndown_revision = {down!r}\n"
            "def upgrade():\n    raise AssertionError('a migration ran')\n"
        )
    return folder


def sqlite_file(path: Path, script: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


class Decoy:
    """A listener at the live address, on a unix socket and on TCP; `calls` counts connections.

    The unix socket matters: it is reachable also where the network is taken away.
    """

    def __init__(self, folder: Path) -> None:
        self.calls = 0
        self.folder = folder
        folder.mkdir()
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(folder / ".s.PGSQL.5432"))
        self._tcp = socket.socket()
        self._tcp.bind(("127.0.0.1", 0))
        self.port = self._tcp.getsockname()[1]
        self._threads = [
            threading.Thread(target=self._serve, args=(s,)) for s in (self._unix, self._tcp)
        ]
        for listener, thread in zip((self._unix, self._tcp), self._threads, strict=True):
            listener.listen()
            thread.start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.calls += 1
            client.close()

    def close(self) -> None:
        for listener in (self._unix, self._tcp):
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def decoy(folder: Path) -> Iterator[Decoy]:
    listening = Decoy(folder)
    try:
        yield listening
    finally:
        listening.close()
