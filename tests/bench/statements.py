"""What `diagnose --quick` costs a database: statements and round-trips, by the number of tables."""

import os
import selectors
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from migdoctor import cli, samples
from migdoctor.connect import Session

CEILINGS = {"sqlite": 8, "postgresql": 15}
TABLES = (50, int(os.environ.get("MIGDOCTOR_TEST_TABLES", "500")))
TABLE = """
CREATE TABLE t{n} (id integer PRIMARY KEY, a varchar(20) NOT NULL DEFAULT 'x', b integer,
  CONSTRAINT uq{n} UNIQUE (a), CONSTRAINT ck{n} CHECK (b > 0),
  CONSTRAINT fk{n} FOREIGN KEY (b) REFERENCES users (id));
CREATE INDEX ix{n} ON t{n} (b);
"""


def counted(dialect: str, tables: int) -> list[str]:
    """Every statement that `diagnose --quick` sends to a healthy database of so many tables."""
    with _database(dialect, tables) as box, _sessions() as sessions:
        _look(box, box.url)
        return [statement for session in sessions for statement in session.statements]


def round_trips(tables: int) -> int:
    """Turns from the server to the client and back during `diagnose --quick` on PostgreSQL."""
    with _database("postgresql", tables) as box:
        url = make_url(box.url)
        with _counting(str(url.query["host"])) as (folder, turns):
            through = url.update_query_dict({"host": folder})
            _look(box, through.render_as_string(hide_password=False))
        return len(turns)


def measure() -> list[tuple[str, float, float]]:
    """(name, count, ceiling) of both engines, and how much more tables add."""
    rows: list[tuple[str, float, float]] = []
    for dialect, ceiling in CEILINGS.items():
        few, many = (len(counted(dialect, tables)) for tables in TABLES)
        name = f"statements of diagnose --quick, {TABLES[1]} tables, {dialect}"
        rows.append((name, many, ceiling))
        rows.append((f"... more than with 50 tables, {dialect}", many - few, 0))
    return rows


@contextmanager
def _database(dialect: str, tables: int) -> Iterator[samples.Box]:
    """The healthy sample with more tables, each with a key, an index and three constraints."""
    with (
        tempfile.TemporaryDirectory(prefix="bench_statements_") as name,
        samples.build("healthy", dialect, Path(name, "project")) as box,
    ):
        made = "".join(TABLE.format(n=n) for n in range(tables))
        samples.run_sql(box.owner_url, f"BEGIN;\n{made}\nCOMMIT;")
        yield box


def _look(box: samples.Box, url: str) -> None:
    report = box.folder / "report.json"
    words = ["--quick", "--url", url, "--format", "json", "-o", str(report)]
    code = cli.run(["diagnose", *box.args, *words])
    assert code == 0, report.read_text()


@contextmanager
def _sessions() -> Iterator[list[Session]]:
    """Collects every session that is opened meanwhile."""
    made: list[Session] = []
    real: Any = Session.__init__

    def remember(self: Session, *args: Any, **more: Any) -> None:
        made.append(self)
        real(self, *args, **more)

    Session.__init__ = remember  # type: ignore[method-assign]  # put back below
    try:
        yield made
    finally:
        Session.__init__ = real  # type: ignore[method-assign]  # the real one


@contextmanager
def _counting(folder: str) -> Iterator[tuple[str, list[int]]]:
    """A socket before the server's that notes each time the client speaks after the server."""
    name, turns = ".s.PGSQL.5432", []
    with (
        tempfile.TemporaryDirectory(prefix="turns_") as here,
        closing(socket.socket(socket.AF_UNIX)) as entrance,
    ):
        entrance.bind(f"{here}/{name}")
        entrance.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = entrance.accept()
                except OSError:  # the entrance was closed
                    return
                with client, socket.socket(socket.AF_UNIX) as server:
                    server.connect(f"{folder}/{name}")
                    turns.extend(_relay(client, server))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield here, turns
        finally:
            entrance.shutdown(socket.SHUT_RDWR)
            thread.join()


def _relay(client: socket.socket, server: socket.socket) -> list[int]:
    """Pass bytes both ways until one side ends; the size of each first chunk of a turn."""
    turns, last = [], server
    with selectors.DefaultSelector() as waiting:
        waiting.register(client, selectors.EVENT_READ, server)
        waiting.register(server, selectors.EVENT_READ, client)
        while True:
            for key, _ in waiting.select():
                source: Any = key.fileobj
                data = source.recv(1 << 16)
                if not data:
                    return turns
                if source is client and last is server:
                    turns.append(len(data))
                last = source
                key.data.sendall(data)
