"""`migdoctor diagnose` against `alembic check` on the same PostgreSQL database, in pairs.

CPU of whole client processes, the history replayed before; with 20 ms per round-trip wall time,
where the waits outweigh everything else. Both have to say that all is well, and the doctor has to
have looked at all rules that apply.
"""

import json
import os
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from migdoctor.shadow import server
from tests.bench.graph import cpu

PAIRS = 5
SIZES = (500, 2000)
QUICK = {500: 0.35, 2000: 0.20}
WITH_MODELS = {500: 0.7, 2000: 0.6}
FIRST = {500: 1.15, 2000: 0.95}
DELAY = 0.020
DELAYED = 0.20
DELAYED_PAIRS = 3
SOCKET = ".s.PGSQL.5432"
MODELS = """\
from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, MetaData, String, Table

metadata = MetaData()
for n in range({count}):
    Table(
        f"t{{n}}", metadata, Column("id", Integer, primary_key=True),
        Column("name", String(50), nullable=False, unique=True),
        Column("kind", String(20), nullable=False, server_default="x"),
        Column("parent", Integer, ForeignKey(f"t{{max(n - 1, 0)}}.id"), index=True),
        Column("amount", Integer), CheckConstraint("amount > 0", name=f"ck_t{{n}}"),
    )
"""
ENV = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool
from models import metadata

engine = create_engine(os.environ["BENCH_URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """\
import sqlalchemy as sa
from alembic import op

revision = "aaa1"
down_revision = None


def upgrade():
    for n in range({count}):
        op.create_table(
            f"t{{n}}", sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(50), nullable=False, unique=True),
            sa.Column("kind", sa.String(20), nullable=False, server_default="x"),
            sa.Column("parent", sa.Integer, sa.ForeignKey(f"t{{max(n - 1, 0)}}.id"), index=True),
            sa.Column("amount", sa.Integer), sa.CheckConstraint("amount > 0", name=f"ck_t{{n}}"),
        )
"""


@contextmanager
def project(count: int) -> Iterator[tuple[Path, str]]:
    """The ini file of a project at head, and the URL of its database of so many tables."""
    url = server.running().create("bench")
    with tempfile.TemporaryDirectory(prefix="bench_pg_") as name:
        # What lies beside env.py may matter to a replay, so that the cache must not.
        here = Path(name, "project")
        (here / "versions").mkdir(parents=True)
        (here / "models.py").write_text(MODELS.format(count=count))
        (here / "env.py").write_text(ENV)
        (here / "versions" / "aaa1_all.py").write_text(REVISION.format(count=count))
        ini = here / "alembic.ini"
        ini.write_text(f"[alembic]\nscript_location = {here}\nprepend_sys_path = {here}\n")
        os.environ |= {"BENCH_URL": url, "MIGDOCTOR_CACHE": str(Path(name, "cache"))}
        try:
            cpu([sys.executable, "-m", "alembic", "-c", str(ini), "upgrade", "head"])
            yield ini, url
        finally:
            del os.environ["BENCH_URL"], os.environ["MIGDOCTOR_CACHE"]
            server.running().drop(url)


def check(ini: Path) -> list[str]:
    return [sys.executable, "-m", "alembic", "-c", str(ini), "check"]


def diagnose(ini: Path, *words: str) -> list[str]:
    return [
        sys.executable, "-m", "migdoctor", "-q", "diagnose", "-c", str(ini), "--format", "json",
        *words,
    ]  # fmt: skip


def sound(answer: str, *blind: str) -> None:
    """The report has no finding, and says why each rule that it did not look at does not apply."""
    report: dict[str, Any] = json.loads(answer)
    assert report["findings"] == [], report["findings"]
    assert report["not_looked"] == [], report["not_looked"]
    assert not {"MD303", "MD304", "MD705", *blind} & set(report["not_applicable"])


def ratio(ini: Path, *words: str, blind: tuple[str, ...] = (), first: bool = False) -> float:
    """The median of the cpu ratios of all pairs; one run of each is thrown away.

    `first`: what is kept of comparisons with the models is deleted before each run.
    """
    ours, theirs = diagnose(ini, *words), check(ini)
    cpu(theirs)
    sound(cpu(ours)[1], *blind)
    found = []
    for _ in range(PAIRS):
        for file in Path(os.environ["MIGDOCTOR_CACHE"]).glob("*.models") if first else ():
            file.unlink()
        found.append(cpu(ours)[0] / cpu(theirs)[0])
    return statistics.median(found)


def measure() -> list[tuple[str, float, float]]:
    """(name, ratio, ceiling)."""
    rows = []
    for count in SIZES:
        with project(count) as (ini, url):
            name = f"PostgreSQL, {count} tables, against alembic check (cpu)"
            quick = ratio(ini, "--quick", "--url", url)
            rows.append((f"diagnose --quick: {name}", quick, QUICK[count]))
            looked = ("MD601", "MD602", "MD701")
            whole = ratio(ini, blind=looked)
            rows.append((f"diagnose, with models: {name}", whole, WITH_MODELS[count]))
            new = ratio(ini, blind=looked, first=True)
            rows.append(
                (f"the same, models compared for the first time: {name}", new, FIRST[count])
            )
            if count == SIZES[0]:
                rows.append(_delayed(ini, url))
    return rows


# --- with a long way to the server --------------------------------------------------------------


def _delayed(ini: Path, url: str) -> tuple[str, float, float]:
    """Wall time, of which seconds are injected delay."""
    given = make_url(url)
    with _far_away(str(given.query["host"])) as folder:
        there = given.update_query_dict({"host": folder}).render_as_string(hide_password=False)
        os.environ["BENCH_URL"] = there
        cpu(diagnose(ini))  # the replay is kept
        found = [_wall(diagnose(ini)) / _wall(check(ini)) for _ in range(DELAYED_PAIRS)]
        os.environ["BENCH_URL"] = url
    name = "diagnose, with models: 500 tables SERIAL, 20 ms per turn (wall)"
    return name, statistics.median(found), DELAYED


def _wall(command: list[str]) -> float:
    began = time.perf_counter()
    cpu(command)
    return time.perf_counter() - began


@contextmanager
def _far_away(folder: str) -> Iterator[str]:
    """A socket before the server's where each turn of the client costs DELAY."""
    with (
        tempfile.TemporaryDirectory(prefix="far_") as here,
        closing(socket.socket(socket.AF_UNIX)) as entrance,
    ):
        entrance.bind(f"{here}/{SOCKET}")
        entrance.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = entrance.accept()
                except OSError:  # the entrance was closed
                    return
                threading.Thread(target=_carry, args=(client, folder), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield here
        finally:
            entrance.shutdown(socket.SHUT_RDWR)
            thread.join()


def _carry(client: socket.socket, folder: str) -> None:
    with (
        client,
        socket.socket(socket.AF_UNIX) as there,
        selectors.DefaultSelector() as waiting,
    ):
        there.connect(f"{folder}/{SOCKET}")
        waiting.register(client, selectors.EVENT_READ, there)
        waiting.register(there, selectors.EVENT_READ, client)
        last: object = there
        while True:
            for key, _ in waiting.select():
                source: Any = key.fileobj
                try:
                    data = source.recv(1 << 16)
                except OSError:
                    return
                if not data:
                    return
                if source is client and last is there:
                    time.sleep(DELAY)
                last = source
                key.data.sendall(data)
