"""The replay with facts against `alembic upgrade heads` on the same kind of database, in pairs.

Both run on throw-away databases without fsync: a SQLite file, and the private PostgreSQL server.
Wall time, because the server works too; whole processes on both sides, medians of the ratios.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from migdoctor.observe import timeline
from migdoctor.observe.look import observe
from migdoctor.project.config import Request
from migdoctor.shadow import server
from migdoctor.target import Target, open_target

PAIRS = 3
REVISIONS = 500
ENV = """\
import os
from alembic import context
from sqlalchemy import create_engine, event, pool

engine = create_engine(os.environ["BENCH_URL"], poolclass=pool.NullPool)
if engine.dialect.name == "sqlite":
    @event.listens_for(engine, "connect")
    def fast(connection, _record):
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """\
from alembic import op
import sqlalchemy as sa

revision = {id!r}
down_revision = {down!r}


def upgrade():
{body}
"""
TABLE = """\
    op.create_table("t{n}", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("name", sa.String(50), nullable=False), sa.Column("a", sa.Integer),
                    sa.UniqueConstraint("name", name="uq_t{n}"))
    op.create_index("ix_t{n}", "t{n}", ["a"])
    op.add_column("t{n}", sa.Column("more", sa.String(20)))
"""
COLUMNS = """\
    with op.batch_alter_table("t{n}") as batch:
        batch.add_column(sa.Column("c{m}", sa.Integer))
    op.create_index("ix_t{n}_{m}", "t{n}", ["c{m}"])
    op.execute("UPDATE t{n} SET c{m} = 1")
"""
REBUILD = """\
    with op.batch_alter_table("t{n}") as batch:
        batch.alter_column("name", type_=sa.String({m}))
    op.drop_index("ix_t{n}", table_name="t{n}")
    op.create_index("ix_t{n}", "t{n}", ["a", "id"])
"""


def generate(folder: Path, count: int = REVISIONS) -> Path:
    """A project of `count` revisions of three operations each; a table in every third."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    for n in range(count):
        body = (TABLE, COLUMNS, REBUILD)[n % 3].format(n=n - n % 3, m=100 + n)
        id, down = f"r{n:04}", f"r{n - 1:04}" if n else None
        text = REVISION.format(id=id, down=down, body=body)
        (versions / f"{id}.py").write_text(text)
    (folder / "migrations" / "env.py").write_text(ENV)
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    return folder


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def upgrade(folder: Path, url: str) -> float:
    """Wall time of alembic's own command."""
    command = [sys.executable, "-m", "alembic", "upgrade", "heads"]
    environment = os.environ | {"BENCH_URL": url}
    return seconds(
        lambda: subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True
        )
    )


def replay(target: Target) -> float:
    """Wall time of a timeline that is in no cache."""
    with tempfile.TemporaryDirectory(prefix="bench_cache_") as cache:
        os.environ["MIGDOCTOR_CACHE"] = cache
        seen = observe(target, passing=False)
        return seconds(lambda: complete(timeline.read(target, seen)))


def complete(made: timeline.Timeline) -> None:
    assert made.rung == "replay"
    assert made.failed is None
    assert len(made.revisions) == REVISIONS


def ratio(folder: Path, live: str, empty: Callable[[], str], drop: Callable[[str], None]) -> float:
    os.environ["BENCH_URL"] = live
    found = []
    with open_target(Request(cwd=folder), quick=False) as target:
        for _ in range(PAIRS):
            url = empty()
            plain = upgrade(folder, url)
            drop(url)
            found.append(replay(target) / plain)
    return statistics.median(found)


def from_cache(folder: Path, live: str) -> float:
    """Seconds of observing with the timeline in the cache, beyond a quick look."""
    os.environ["BENCH_URL"] = live
    more = []
    with tempfile.TemporaryDirectory(prefix="bench_cache_") as cache:
        os.environ["MIGDOCTOR_CACHE"] = cache
        for _ in range(PAIRS + 1):
            with open_target(Request(cwd=folder), quick=True) as target:
                quick = seconds(lambda: observe(target))
            with open_target(Request(cwd=folder), quick=False) as target:
                more.append(seconds(lambda: observe(target)) - quick)
    return statistics.median(more[1:])


def peak(folder: Path, live: str) -> float:
    """MiB of the largest process of a look with nothing in the cache (the server apart)."""
    with tempfile.TemporaryDirectory(prefix="bench_cache_") as cache:
        environment = os.environ | {"BENCH_URL": live, "MIGDOCTOR_CACHE": cache}
        command = [sys.executable, "-m", "migdoctor", "diagnose"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode < 2
        return used.ru_maxrss / 1024


def measure() -> list[tuple[str, float, float]]:
    """(name, ratio, ceiling) for both engines, and seconds from the cache."""
    shadow = server.running()
    with tempfile.TemporaryDirectory(prefix="bench_replay_") as name:
        folder = generate(Path(name, "project"))
        lite = f"sqlite:///{name}/live.db"
        Path(name, "live.db").touch()
        scratch = Path(name, "plain.db")
        live = shadow.create("live")
        found = [
            (
                "replay with facts / alembic upgrade, SQLite (wall)",
                ratio(folder, lite, lambda: f"sqlite:///{scratch}", lambda _url: scratch.unlink()),
                3.5,
            ),
            (
                "replay with facts / alembic upgrade, PostgreSQL (wall)",
                ratio(folder, live, lambda: shadow.create("plain"), shadow.drop),
                3.5,
            ),
            ("seconds from the cache beyond --quick, SQLite", from_cache(folder, lite), 0.3),
            ("seconds from the cache beyond --quick, PostgreSQL", from_cache(folder, live), 0.3),
            ("MiB of the largest process, 500 revisions, SQLite", peak(folder, lite), 200),
            ("MiB of the largest process, 500 revisions, PostgreSQL", peak(folder, live), 200),
        ]
        shadow.drop(live)
    return found


if __name__ == "__main__":
    for line, value, ceiling in measure():
        sys.stdout.write(f"{line}: {value:.3f} (at most {ceiling})\n")
