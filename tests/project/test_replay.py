"""replay: env.py files of many shapes migrate the shadow; nothing reaches what they call live."""

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projects import Decoy, decoy, project
from shapes import CREATE, LIVE, SHAPES, online

from migdoctor.connect import address_of, open_reading, open_writing
from migdoctor.observe import schema
from migdoctor.observe.schema import postgresql_watch, sqlite
from migdoctor.project import Agent, Replay
from migdoctor.project.config import Request, find
from migdoctor.project.process import AgentFailed
from migdoctor.shadow import server
from migdoctor.shadow.stage import Scene, Stage, postgresql_stage, sqlite_stage

UPGRADE = 'op.create_table("made", sa.Column("x", sa.Integer))'


@pytest.fixture(scope="module")
def cluster() -> Iterator[server.Server]:
    """The private server with a database `live` and a role `app`, as the shapes name them."""
    running = server.running()
    with running.admin() as admin:
        admin.run("CREATE ROLE app LOGIN SUPERUSER")
        admin.run("CREATE DATABASE live OWNER app")
    yield running
    running.drop("live")
    with running.admin() as admin:
        admin.run("DROP ROLE app")


@pytest.fixture
def tcp(tmp_path: Path) -> Iterator[Decoy]:
    with decoy(tmp_path / "socket") as listening:
        yield listening


def sessions(cluster: server.Server) -> tuple[int, int]:
    """(connections now, connections ever) of the live database."""
    with cluster.admin() as admin:
        ((now, ever),) = admin.query(
            "SELECT numbackends, sessions FROM pg_stat_database WHERE datname = 'live'"
        )
    return now, ever


def revision(folder: Path, body: str = UPGRADE, id: str = "a1") -> None:
    (folder / "migrations" / "versions" / f"{id}.py").write_text(
        f"from alembic import op\nimport sqlalchemy as sa\nrevision = {id!r}\n"
        "down_revision = None\n\n\ndef upgrade():\n    " + body.replace("\n", "\n    ") + "\n"
    )


@contextlib.contextmanager
def staged(dialect: str) -> Iterator[Stage]:
    if dialect == "sqlite":
        with sqlite_stage() as stage:
            yield stage
        return
    scene = Scene(path=("public",), schemas=("core", "app", "acme", "umbrella"))
    with postgresql_stage(scene, postgresql_watch.setup) as stage:
        yield stage


def asked(stage: Stage, **more: object) -> Replay:
    lite = stage.url.startswith("sqlite")
    watch = (
        {"objects": sqlite.OBJECTS, "columns": sqlite.COLUMNS}
        if lite
        else {"changes": postgresql_watch.CHANGES}
    )
    values = {
        "url": stage.url, "marker": stage.marker,
        "marker_query": stage.marker_query, "watch": watch, "version_table": "alembic_version",
        "pragmas": stage.pragmas, "limit": 60.0, **more,
    }  # fmt: skip
    return Replay(**values)


def tables(stage: Stage) -> set[str]:
    with open_reading(address_of(stage.url)) as session:
        return {k.table for k in schema.read(session, {}).facts if k.kind == "table"}


def state_of(path: Path) -> list[tuple[str, str, int]]:
    """Name, content and time of every database file in a folder."""
    return [
        (p.name, hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(path.glob("*.db*"))
    ]


@pytest.mark.parametrize("name", SHAPES)
def test_shape(
    name: str, tmp_path: Path, cluster: server.Server, tcp: Decoy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filled(text: str) -> str:
        place = str(cluster.folder / "s")
        return text.replace("{dir}", place).replace("{port}", str(tcp.port))

    shape = SHAPES[name]
    if name == "aiosqlite":
        shape = replace(shape, env=shape.env.replace("SET search_path TO app", "SELECT 1"))
    for variable, value in shape.environ.items():
        monkeypatch.setenv(variable, filled(value))
    files = {path: filled(text) for path, text in shape.files.items()}
    url = shape.url and filled(shape.url)
    folder = project(
        tmp_path / "p", env=filled(shape.env), url=url, files=files, ini=shape.ini, revisions=()
    )
    revision(folder)
    (folder / "live.db").touch()
    before, seen = state_of(folder), sessions(cluster)
    lite = "sqlite" in (str(shape.expect.get("url", "")) + name)
    x = tuple(map(filled, shape.x))
    with Agent(find(Request(cwd=folder, x=x))) as agent, staged("sqlite" if lite else "pg") as st:
        if name == "app-engine":  # also in a process that has answered before
            agent.capture()
        recording = agent.replay(asked(st))
        made = tables(st)
    ((id, (statement,)),) = recording["revisions"]
    assert (id, recording["failed"], recording["total"]) == ("a1", None, 1)
    assert " ".join(statement[0].split()) == "CREATE TABLE made ( x INTEGER )"
    assert "made" in str(statement[4])
    assert made == (set() if name in UNCOMMITTED else {"made"})
    assert sessions(cluster) == seen
    assert tcp.calls == 0
    assert state_of(folder) == before


# Run something before configure(), so that alembic leaves the commit to env.py, which does none.
UNCOMMITTED = ("asyncpg", "multi-schema", "tenants")
PAST_SQLALCHEMY = {
    "psycopg2": 'import psycopg2\npsycopg2.connect("{dsn}")',
    "psycopg": 'import psycopg\npsycopg.connect("{dsn}")',
    "sqlite3": 'import sqlite3\nsqlite3.connect("live.db").execute("CREATE TABLE t (x INT)")',
    "asyncpg": "import asyncio, asyncpg, threading\nfailed = []\n"
    "def dial():\n    try:\n        asyncio.run(asyncpg.connect(user='app', database='live',"
    " host='{dir}'))\n    except BaseException as error:\n        failed.append(error)\n"
    "thread = threading.Thread(target=dial)\nthread.start()\nthread.join()\nraise failed[0]",
    "an engine": 'sa.create_engine("postgresql+psycopg2://app@/live?host={dir}").connect()'
    '.exec_driver_sql("CREATE TABLE elsewhere (x int)")',
}


@pytest.mark.parametrize("name", PAST_SQLALCHEMY)
def test_a_revision_cannot_go_past_the_redirect(
    name: str, tmp_path: Path, cluster: server.Server
) -> None:
    place = str(cluster.folder / "s")
    dsn = f"host={place} user=app dbname=live"
    body = PAST_SQLALCHEMY[name].replace("{dsn}", dsn).replace("{dir}", place)
    folder = project(tmp_path / "p", url=LIVE.replace("{dir}", place), revisions=())
    revision(folder, body)
    (folder / "live.db").touch()
    before, seen = state_of(folder), sessions(cluster)
    with Agent(find(Request(cwd=folder))) as agent, staged("pg") as st:
        failed = agent.replay(asked(st))["failed"]
    if name == "an engine":
        assert failed is None
    else:
        assert "refused during a replay" in failed[1]
    assert sessions(cluster) == seen
    assert state_of(folder) == before


@pytest.mark.parametrize("dialect", ["sqlite", "pg"])
def test_without_the_marker_nothing_runs(tmp_path: Path, dialect: str) -> None:
    url = "sqlite:///live.db" if dialect == "sqlite" else LIVE.replace("{dir}", "/nowhere")
    folder = project(tmp_path / "p", url=url, revisions=())
    revision(folder)
    with Agent(find(Request(cwd=folder))) as agent, staged(dialect) as st:
        with pytest.raises(AgentFailed) as refused:
            agent.replay(asked(st, marker="7"))
        assert tables(st) == set()
        assert agent.replay(asked(st))["failed"] is None
    assert refused.value.kind == "not-ours"
    assert "shadow" in refused.value.error
    assert not (folder / "live.db").exists()


def test_another_engine_is_no_shadow(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", url="sqlite:///live.db", revisions=())
    revision(folder)
    with Agent(find(Request(cwd=folder))) as agent, staged("pg") as st:
        with pytest.raises(AgentFailed) as refused:
            agent.replay(asked(st))
        assert tables(st) == set()
    assert refused.value.kind == "not-ours"


def test_only_the_first_context_runs(tmp_path: Path, cluster: server.Server) -> None:
    shape = SHAPES["tenants"]
    url = LIVE.replace("{dir}", str(cluster.folder / "s"))
    folder = project(tmp_path / "p", env=shape.env, url=url, revisions=())
    revision(folder)
    with Agent(find(Request(cwd=folder))) as agent, staged("pg") as st:
        ((_id, statements),) = agent.replay(asked(st))["revisions"]
    gone, come = statements[0][4]
    assert gone == []
    assert {row[0] for row in come} == {"acme"}


def test_a_secret_in_an_error_is_masked(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", url="sqlite:///live.db", revisions=())
    revision(folder, 'raise RuntimeError("postgresql://app:s3cret-pw@db/live")')
    with Agent(find(Request(cwd=folder))) as agent, staged("sqlite") as st:
        failed = agent.replay(asked(st))["failed"]
    assert failed == ["a1", "RuntimeError: postgresql://app:***@db/live"]


@pytest.mark.parametrize("dialect", ["sqlite", "pg"])
def test_a_program_that_migrates_by_itself(
    tmp_path: Path, dialect: str, cluster: server.Server
) -> None:
    """`--via`: the program's own upgrade is recorded, and ends where the recording does."""
    manager = (
        "import sys\nfrom alembic import command\nfrom alembic.config import Config\n"
        "config = Config('alembic.ini')\nconfig.attributes['only_here'] = True\n"
        "command.upgrade(config, 'heads')\nopen('finished', 'w').close()\n"
    )
    url = "sqlite:///live.db"
    if dialect == "pg":
        url = LIVE.replace("{dir}", str(cluster.folder / "s"))
    env = "from alembic import context\ncontext.config.attributes['only_here']\n" + online(
        "from sqlalchemy import create_engine", CREATE
    )
    folder = project(tmp_path / "p", env=env, url=url, files={"manage.py": manager}, revisions=())
    revision(folder)
    (folder / "live.db").touch()
    before, seen = state_of(folder), sessions(cluster)
    with Agent(find(Request(cwd=folder, via="python manage.py"))) as agent, staged(dialect) as st:
        recording = agent.replay(asked(st))
        with pytest.raises(AgentFailed) as refused:
            agent.replay(asked(st, marker="7"))
    assert [id for id, _ in recording["revisions"]] == ["a1"]
    assert recording["failed"] is None
    assert refused.value.kind == "not-ours"
    assert not (folder / "finished").exists()
    assert sessions(cluster) == seen
    assert state_of(folder) == before


def test_the_counter_counts(cluster: server.Server) -> None:
    """The zero of the tests above means something: one connection shows."""
    _, ever = sessions(cluster)
    with psycopg.connect(host=str(cluster.folder / "s"), user="app", dbname="live") as connection:
        connection.execute("SELECT 1")
        assert sessions(cluster)[0] == 1
    connection.close()
    for _ in range(100):
        if sessions(cluster)[1] == ever + 1:
            break
        with open_writing(address_of(cluster.admin_url)) as admin:
            admin.query("SELECT pg_sleep(0.05)")
    assert sessions(cluster) == (0, ever + 1)
