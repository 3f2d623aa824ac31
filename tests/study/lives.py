"""Live databases for the study: upgraded by alembic itself, copied, and changed by hand."""

import contextlib
import itertools
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.exc import SQLAlchemyError

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import FactKey
from migdoctor.observe import schema
from migdoctor.shadow import server

Facts = dict[FactKey, str]
BY_HAND = "hand_"  # how names of what is made by hand begin


class Engine:
    """Makes and copies databases of one dialect; `close` drops them all."""

    def __init__(self, dialect: str, folder: Path) -> None:
        self.dialect, self.folder = dialect, folder
        self.names = (f"study_{os.getpid()}_{n}" for n in itertools.count())
        self.made: list[str] = []

    def copy(self, url: str | None = None) -> str:
        """The URL of a copy of a database that nobody is connected to, of an empty one if None."""
        if self.dialect == "sqlite":
            path = self.folder / f"{next(self.names)}.db"
            if url:
                shutil.copyfile(sa.make_url(url).database or "", path)
            path.touch()
            return f"sqlite:///{path}"
        if url is None:
            self.made.append(server.running().create("study"))
            return self.made[-1]
        name = f"{next(self.names)}_{id(self)}"
        with server.running().admin() as session:
            session.run(f'CREATE DATABASE "{name}" TEMPLATE "{sa.make_url(url).database}"')
        self.made.append(server.running().url_of(name))
        return self.made[-1]

    def drop(self, url: str) -> None:
        if self.dialect == "sqlite":
            Path(sa.make_url(url).database or "").unlink()
        else:
            self.made.remove(url)
            server.running().drop(url)

    def close(self) -> None:
        for url in list(self.made):
            self.drop(url)


def upgraded(project: Path, url: str, to: str, stop: int | None = None) -> bool:
    """Really upgrade; with `stop` the connection is lost before statement `stop` + 1.

    True when the upgrade has come to its end.
    """
    with surroundings(STUDY_URL=url, STUDY_STOP="" if stop is None else str(stop)):
        try:
            command.upgrade(Config(str(project / "alembic.ini")), to)
        except RuntimeError as error:
            if "the connection is lost" not in str(error):
                raise
            return False
    return True


@contextlib.contextmanager
def surroundings(**variables: str) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def facts_of(url: str) -> Facts:
    """The facts of a live database, by the product's own reader."""
    with open_reading(address_of(url)) as session:
        return dict(schema.read(session, {}).facts)


@contextlib.contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """A transaction that takes back all of a failed change, on SQLite too."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda opened: opened.exec_driver_sql("BEGIN"))
    with engine.begin() as connection:
        yield connection


def rows_of(url: str) -> list[str]:
    with connected(url) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return []
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        return list(found.scalars())


def record(url: str, rows: list[str]) -> None:
    """Falsify the version table."""
    with connected(url) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return
        connection.execute(sa.text("DELETE FROM alembic_version"))
        for row in rows:
            connection.execute(sa.text("INSERT INTO alembic_version VALUES (:row)"), {"row": row})


# --- by hand ------------------------------------------------------------------------------------


class Hand:
    """Somebody who changes a live database, knowing nothing of its history."""

    def __init__(self, url: str, facts: Facts, dice: random.Random) -> None:
        self.url, self.facts, self.dice = url, facts, dice
        self.done: list[str] = []

    def change(self, times: int) -> Facts:
        """That many changes, each of which the engine has accepted; the facts after them."""
        for _ in range(200):
            if len(self.done) == times:
                return self.facts
            (group,) = self.dice.choices([g for _, g in KINDS], [weight for weight, _ in KINDS])
            kind = self.dice.choice(group)
            # What is not possible here is not done: another change is tried.
            with contextlib.suppress(SQLAlchemyError, IndexError):
                with connected(self.url) as connection:
                    subject = kind(self, Operations(MigrationContext.configure(connection)))
                now = facts_of(self.url)
                assert now != self.facts, (kind, subject)
                self.facts = now
                self.done.append(f"{kind.__name__} {subject}")
        raise AssertionError(f"no change is possible after {self.done}")

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(table, name) of everything of a kind that the history has made."""
        found = sorted((k.table, k.name) for k in self.facts if k.kind == kind)
        return [pair for pair in found if BY_HAND not in "".join(pair)]

    def table(self) -> str:
        return self.dice.choice(self.names("table"))[0]

    def new(self) -> str:
        return f"{BY_HAND}{self.dice.randrange(10**9)}"

    def extra_table(self, op: Operations) -> str:
        op.execute(f"CREATE TABLE {(name := self.new())} (id INTEGER PRIMARY KEY, note TEXT)")
        return name

    def extra_column(self, op: Operations) -> str:
        op.execute(f"ALTER TABLE {(table := self.table())} ADD COLUMN {self.new()} INTEGER")
        return table

    def extra_index(self, op: Operations) -> str:
        table, column = self.dice.choice(self.names("column"))
        op.execute(f"CREATE INDEX {self.new()} ON {table} ({column})")
        return f"{table}.{column}"

    def extra_view(self, op: Operations) -> str:
        op.execute(f"CREATE VIEW {self.new()} AS SELECT id FROM {(table := self.table())}")
        return table

    def dropped_index(self, op: Operations) -> str:
        op.execute(f"DROP INDEX {(name := self.dice.choice(self.names('index'))[1])}")
        return name

    def dropped_column(self, op: Operations) -> str:
        table, column = self.dice.choice(self.names("column"))
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        return f"{table}.{column}"

    def dropped_table(self, op: Operations) -> str:
        op.execute(f"DROP TABLE {(table := self.table())}")
        return table

    def changed_type(self, op: Operations) -> str:
        return self.altered(op, type_=sa.String(self.dice.randint(100, 200)))

    def changed_default(self, op: Operations) -> str:
        return self.altered(op, server_default=str(self.dice.randint(100, 200)))

    def changed_nullability(self, op: Operations) -> str:
        return self.altered(op)

    def altered(self, op: Operations, **how: Any) -> str:
        """One column, not a key; SQLite cannot, so somebody rebuilds a table without views."""
        views = " ".join(text for key, text in self.facts.items() if key.kind == "view")
        viewed = re.findall(r"\w+", views) if self.url.startswith("sqlite") else []
        columns = [
            (key, text)
            for key, text in sorted(self.facts.items())
            if key[1:] in {(table, "column", name) for table, name in self.names("column")}
            and key.name != "id"
            and key.table not in viewed
        ]
        key, text = self.dice.choice(columns)
        with op.batch_alter_table(key.table) as batch:
            batch.alter_column(key.name, **(how or {"nullable": "NOT NULL" in text}))
        return f"{key.table}.{key.name}"


# Half of the changes add something, three in ten take away, two in ten alter, as in the study on
# plain facts (tests/test_locate.py).
KINDS: tuple[tuple[float, Sequence[Callable[[Hand, Operations], str]]], ...] = (
    (0.5, (Hand.extra_table, Hand.extra_column, Hand.extra_index, Hand.extra_view)),
    (0.3, (Hand.dropped_index, Hand.dropped_column, Hand.dropped_table)),
    (0.2, (Hand.changed_type, Hand.changed_default, Hand.changed_nullability)),
)
