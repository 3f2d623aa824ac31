"""Real databases for the readers: a fresh PostgreSQL database or SQLite file per test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.observe.databases import driver
from tests.running import live_server


@pytest.fixture
def pg() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    running = live_server()
    url = running.create("test")
    yield url
    running.drop(url)


@pytest.fixture
def pg_run(pg: str) -> Callable[[str], None]:
    """Runs SQL as the owner, in autocommit."""

    def run(sql: str) -> None:
        with driver(pg) as connection:
            connection.execute(sql)  # type: ignore[call-overload]  # a str, not a literal

    return run


@pytest.fixture
def sq(tmp_path: Path) -> Path:
    """The path of a SQLite file that does not exist yet, in a folder of its own."""
    folder = tmp_path / "db"
    folder.mkdir()
    return folder / "app.db"
