"""`make bench`: every budget with what was measured, its ceiling, and whether it holds.

What is over is measured once more with twice the pairs before it counts: the machines of a
continuous integration are noisy. Exit status 1 when something is still over.
"""

import importlib
import os
import platform
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import alembic
import sqlalchemy

from tests.bench import git, graph, postgresql, startup, statements

Row = tuple[str, float, float]


def start(more: int) -> list[Row]:
    return startup.measure(pairs=11 * more)


def revisions(more: int) -> list[Row]:
    graph.PAIRS = 5 * more
    return graph.measure()


def counts(_more: int) -> list[Row]:
    return statements.measure()


def lookups(more: int) -> list[Row]:
    git.PAIRS = 5 * more
    return git.measure()


def against_check(more: int) -> list[Row]:
    postgresql.PAIRS = 5 * more
    return postgresql.measure()


def replay(more: int) -> list[Row]:
    """Where there is a benchmark of the replay, its rows."""
    if find_spec("tests.bench.replay") is None:
        return []
    module: Any = importlib.import_module("tests.bench.replay")
    if hasattr(module, "PAIRS") and more > 1:
        module.PAIRS *= more
    rows: list[Row] = module.measure()
    return rows


def main() -> int:
    """Print the table; 1 when something is over."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # both sides start with compiled modules
    say(
        f"Python {platform.python_version()}, alembic {alembic.__version__}, "
        f"SQLAlchemy {sqlalchemy.__version__}, {os.cpu_count()} processors"
    )
    say(f"{'what':64} {'measured':>9} {'ceiling':>8}")
    measures: list[Callable[[int], list[Row]]] = [
        *(start, revisions, counts, lookups, against_check, replay)
    ]
    over = 0
    for measure in measures:
        rows = measure(1)
        if any(found > ceiling for _, found, ceiling in rows):
            for row in rows:
                show(row, "(first try)")
            rows = measure(2)
        for row in rows:
            show(row)
            over += row[1] > row[2]
    return 1 if over else 0


def show(row: Row, note: str = "") -> None:
    name, found, ceiling = row
    verdict = "over" if found > ceiling else "ok"
    say(f"{name:64} {found:9.3g} {ceiling:8g}  {verdict} {note}".rstrip())


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
