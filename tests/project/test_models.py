"""models and merge: env.py runs against the address it is given and nowhere else."""

import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projects import LIKE_MODELS, SYNC, project, sqlite_file
from shapes import ASYNC, LOOP, online

from migdoctor.connect import address_of, open_writing
from migdoctor.errors import NotApplicable
from migdoctor.project import Agent
from migdoctor.project.config import Request, find
from migdoctor.project.process import AgentFailed
from migdoctor.shadow import server

READ_ONLY = {
    "options": "-c default_transaction_read_only=on -c lock_timeout=2000 -c statement_timeout=60000"
}
SICK = """
    CREATE TABLE users (id INTEGER NOT NULL, email VARCHAR(100) NOT NULL, extra TEXT,
        CONSTRAINT pk_users PRIMARY KEY (id), CONSTRAINT uq_users_email UNIQUE (email));
    CREATE TABLE orders (id INTEGER NOT NULL, user_id INTEGER NOT NULL, total INTEGER NOT NULL,
        CONSTRAINT pk_orders PRIMARY KEY (id),
        CONSTRAINT fk_orders_user_id_users FOREIGN KEY (user_id) REFERENCES users (id));
    CREATE TABLE junk (a INTEGER);
    CREATE INDEX ix_junk_a ON junk (a);
    CREATE TABLE _migdoctor_q_1_users (id INTEGER);
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)
"""
TRIGGER = "CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT 1; SELECT 2; END"


@pytest.fixture(scope="module")
def postgres():
    shadow = server.running()
    made: list[str] = []

    def make(script: str) -> str:
        url = shadow.create("t_project")
        made.append(url)
        with open_writing(address_of(url)) as session:
            for statement in script.split(";"):
                session.run(statement)
        return url

    yield make
    for url in made:
        shadow.drop(url)


def seen_by(agent: Agent, url: str, **more: object):
    found = agent.models(url, {} if url.startswith("sqlite") else READ_ONLY, **more)
    return found, {(d.op, d.subject) for d in found.drifts}


SICK_DRIFTS = {
    ("remove_table", "junk"),
    ("remove_index", "junk.ix_junk_a"),
    ("modify_type", "users.email"),
    ("add_column", "users.nickname"),
    ("remove_column", "users.extra"),
    ("add_index", "orders.ix_orders_user_id"),
}


def test_sqlite(tmp_path):
    well = sqlite_file(tmp_path / "well.db", LIKE_MODELS)
    sick = sqlite_file(tmp_path / "sick.db", SICK + ";" + TRIGGER + ";")
    live = sqlite_file(tmp_path / "live.db", LIKE_MODELS)
    before = live.read_bytes()
    live.chmod(0o400)
    folder = project(tmp_path / "p", url=f"sqlite:///{live}")
    with Agent(find(Request(cwd=folder))) as agent:
        agent.capture()
        found, drifts = seen_by(agent, f"sqlite:///{well}")
        assert (drifts, found.restore, found.adopt) == (set(), (), None)
        assert agent.indexes(f"sqlite:///{well}", "orders") == (
            "CREATE INDEX ix_orders_user_id ON orders (user_id)",
        )
        assert agent.indexes(f"sqlite:///{well}", "nowhere") == ()
        copy = sqlite_file(tmp_path / "copy.db", SICK + ";" + TRIGGER + ";")
        found, drifts = seen_by(agent, f"sqlite:///{copy}", rev_id="f00d")
    assert drifts == SICK_DRIFTS
    assert live.read_bytes() == before
    assert found.why_not == ""
    hazards = dict(found.restore)
    assert hazards["DROP TABLE junk"] == ("DELETES_DATA",)
    assert hazards["DROP INDEX ix_junk_a"] == ("DROPS_OBJECT",)
    assert hazards["DROP TABLE users"] == ("DELETES_DATA", "REWRITES_TABLE")
    assert hazards["CREATE INDEX ix_orders_user_id ON orders (user_id)"] == ()
    assert found.restore[-1] == (TRIGGER, ())
    connection = sqlite3.connect(sick, isolation_level=None)
    connection.execute("INSERT INTO users VALUES (1, 'a@b', 'x')")
    for sql, _ in found.restore:
        connection.execute(sql)
    assert connection.execute("SELECT id, email, nickname FROM users").fetchall() == [
        (1, "a@b", None)
    ]
    connection.close()
    with Agent(find(Request(cwd=folder))) as agent:
        assert seen_by(agent, f"sqlite:///{sick}")[1] == set()
    assert found.adopt.id == "f00d"
    assert found.adopt.path.parent == folder / "migrations" / "versions"
    assert not found.adopt.path.exists()
    up, _, down = found.adopt.text.partition("def downgrade")
    assert "down_revision = 'a1'" in up
    assert "op.create_table('junk'" in up
    assert "batch_op.drop_column('nickname')" in up
    assert "op.drop_table('junk')" in down
    compile(found.adopt.text, "adopt", "exec")


def test_postgresql(tmp_path, postgres):
    well, sick = postgres(LIKE_MODELS), postgres(SICK)
    env = SYNC.replace(
        "context.configure(connection",
        (
            'connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS x")\n'
            "        context.configure(connection"
        ),
    )
    folder = project(tmp_path / "p", env=env, url="postgresql+psycopg2://x@/live?host=/nowhere")
    with Agent(find(Request(cwd=folder))) as agent:
        assert agent.capture().contexts[0].dialect == "postgresql"
        found, drifts = seen_by(agent, well)
        assert (drifts, found.restore) == (set(), ())
        found, drifts = seen_by(agent, sick)
        with pytest.raises(AgentFailed, match="not read-only") as refused:
            agent.models(sick, {}, read_only=True)
    assert refused.value.kind == "not-ours"
    assert drifts == SICK_DRIFTS
    assert dict(found.restore) == {
        "DROP INDEX ix_junk_a": ("DROPS_OBJECT", "LOCKS_TABLE"),
        "DROP TABLE junk": ("DELETES_DATA",),
        "CREATE INDEX ix_orders_user_id ON orders (user_id)": ("LOCKS_TABLE",),
        "ALTER TABLE users ADD COLUMN nickname VARCHAR(40)": ("LOCKS_TABLE",),
        "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR(120)": (
            "LOCKS_TABLE", "REWRITES_TABLE",
        ),
        "ALTER TABLE users DROP COLUMN extra": ("DELETES_DATA", "LOCKS_TABLE"),
    }  # fmt: skip
    with open_writing(address_of(sick)) as session:
        assert session.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'x'") == [(0,)]
        for sql, _ in found.restore:
            session.run(sql)
    with Agent(find(Request(cwd=folder))) as agent:
        assert seen_by(agent, sick)[1] == set()


COUNTING = """
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine

@event.listens_for(Engine, "before_cursor_execute")
def note(*given):
    with Path(__file__).with_name("said").open("a") as told:
        told.write(given[2].split()[0] + "\\n")

"""
SERIAL = """
import sqlalchemy as sa

metadata = sa.MetaData()
for n in range({count}):
    sa.Table("t%d" % n, metadata, sa.Column("id", sa.Integer, primary_key=True))
sa.Table("Odd 'one'", metadata, sa.Column("Id", sa.Integer, primary_key=True))
sa.Table("shared", metadata, sa.Column("n", sa.Integer))
"""


def test_serial_columns_cost_no_statement_each(tmp_path, postgres):
    said = []
    for count in (3, 30):
        tables = [f"CREATE TABLE t{n} (id SERIAL PRIMARY KEY)" for n in range(count)]
        tables += ['CREATE TABLE "Odd \'one\'" ("Id" SERIAL PRIMARY KEY)']
        # the default of a sequence that another column owns is a difference
        tables += ["CREATE TABLE shared (n INTEGER DEFAULT nextval('t0_id_seq'))"]
        files = {"models.py": SERIAL.format(count=count)}
        options = "context.configure(compare_server_default=True, connection"
        env = COUNTING + SYNC.replace("context.configure(connection", options)
        at = project(tmp_path / str(count), env=env, url="postgresql+psycopg2://x@/l", files=files)
        with Agent(find(Request(cwd=at))) as agent:
            agent.capture()
            drifts = seen_by(agent, postgres(";".join(tables)))[1]
        assert drifts == {("modify_default", "shared.n")}
        said.append((at / "migrations" / "said").read_text())
    assert said[0] == said[1]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "psycopg2"])
def test_every_driver_is_redirected(tmp_path, postgres, driver):
    env = ASYNC.replace("TO app", "TO public") if driver == "asyncpg" else SYNC
    folder = project(tmp_path / "p", env=env, url=f"postgresql+{driver}://x@nowhere.invalid/live")
    with Agent(find(Request(cwd=folder))) as agent:
        agent.capture()
        assert seen_by(agent, postgres(LIKE_MODELS))[1] == set()


def test_aiosqlite_is_redirected(tmp_path):
    env = ASYNC.replace('await connection.execute(text("SET search_path TO app"))', "pass")
    folder = project(tmp_path / "p", env=env, url="sqlite+aiosqlite:///live.db")
    with Agent(find(Request(cwd=folder))) as agent:
        clone = sqlite_file(tmp_path / "clone.db", LIKE_MODELS)
        assert seen_by(agent, f"sqlite:///{clone}")[1] == set()
    assert not (folder / "live.db").exists()


def test_second_context(tmp_path, postgres):
    url = postgres("CREATE SCHEMA acme; CREATE SCHEMA umbrella")
    folder = project(tmp_path / "p", env=LOOP, url="postgresql+psycopg2://x@/live?host=/nowhere")
    with Agent(find(Request(cwd=folder))) as agent:
        assert ("add_table", "users") in seen_by(agent, url, context=1)[1]
        with pytest.raises(AgentFailed) as few:
            agent.models(url, READ_ONLY, context=2)
    assert few.value.kind == "no-context"


def test_application_that_keeps_its_connection(tmp_path):
    """A connection opened at import is reused by env.py: the agent imports the application anew."""
    app = (
        "from sqlalchemy import create_engine\n"
        'kept = create_engine("sqlite:///live.db").connect()\n'
    )
    env = (
        "from alembic import context\nimport app, models\n"
        "context.configure(connection=app.kept, target_metadata=models.metadata)\n"
        "with context.begin_transaction():\n    context.run_migrations()\n"
    )
    folder = project(tmp_path / "p", env=env, url=None, files={"app.py": app})
    clone = sqlite_file(tmp_path / "clone.db", LIKE_MODELS)
    with Agent(find(Request(cwd=folder))) as agent:
        assert agent.capture().contexts[0].url == "sqlite:///live.db"
        assert seen_by(agent, f"sqlite:///{clone}")[1] == set()
    assert not (folder / "live.db").exists()


def test_connection_of_its_own_is_refused(tmp_path):
    """A pool record filled behind SQLAlchemy's back is not taken for ours."""
    env = online(
        "import sqlite3\nfrom sqlalchemy import create_engine, event",
        'engine = create_engine("sqlite://")\n'
        '@event.listens_for(engine, "checkout")\n'
        "def swap(dbapi, record, fairy):\n"
        '    record.dbapi_connection = sqlite3.connect("../clone.db")\n'
        "    fairy.dbapi_connection = record.dbapi_connection",
    )
    folder = project(tmp_path / "p", env=env, url=None)
    clone = sqlite_file(tmp_path / "clone.db", LIKE_MODELS)
    with Agent(find(Request(cwd=folder))) as agent, pytest.raises(AgentFailed) as refused:
        agent.models(f"sqlite:///{clone}")
    assert refused.value.kind == "not-ours"


def test_wrong_engine_no_models_include_object(tmp_path, postgres):
    folder = project(tmp_path / "p", env=SYNC.replace("models.metadata", "None"))
    clone = sqlite_file(tmp_path / "clone.db", SICK)
    with Agent(find(Request(cwd=folder))) as agent:
        with pytest.raises(NotApplicable):
            agent.models(f"sqlite:///{clone}")
        with pytest.raises(AgentFailed) as other:
            agent.models(postgres("SELECT 1"), READ_ONLY)
    assert other.value.kind == "not-ours"
    env = SYNC.replace(
        "compare_type=True",
        ("compare_type=False, include_object=lambda o, name, kind, r, c: name != 'junk'"),
    )
    folder = project(tmp_path / "q", env=env)
    with Agent(find(Request(cwd=folder))) as agent:
        drifts = seen_by(agent, f"sqlite:///{clone}")[1]
    assert drifts == {
        ("add_column", "users.nickname"),
        ("remove_column", "users.extra"),
        ("add_index", "orders.ix_orders_user_id"),
    }


def test_merge(tmp_path):
    folder = project(
        tmp_path / "p",
        ini="file_template = m_%%(rev)s_%%(slug)s\n",
        revisions=(("a1", None), ("b1", "a1"), ("b2", "a1")),
    )
    before = sorted(folder.rglob("*"))
    with Agent(find(Request(cwd=folder))) as agent:
        draft = agent.merge(("b1", "b2"), "c1", "merge both")
        with pytest.raises(AgentFailed, match="nope"):
            agent.merge(("b1", "nope"), "c1", "merge both")
    assert draft.id == "c1"
    assert draft.path == folder / "migrations" / "versions" / "m_c1_merge_both.py"
    assert "down_revision = ('b1', 'b2')" in draft.text
    assert draft.text.startswith('"""merge both\n')
    assert [p for p in sorted(folder.rglob("*")) if "__pycache__" not in str(p)] == before


def test_merge_with_revision_environment(tmp_path):
    env = SYNC.replace("compare_type=True", "template_args={'owner': 'team blue'}")
    folder = project(
        tmp_path / "p",
        env=env,
        ini="revision_environment = true\n",
        revisions=(("b1", None), ("b2", None)),
    )
    template = folder / "migrations" / "script.py.mako"
    template.write_text("# ${owner}\n" + template.read_text())
    with Agent(find(Request(cwd=folder))) as agent:
        assert agent.merge(("b1", "b2"), "c1", "m").text.startswith("# team blue\n")
    assert not (folder / "live.db").exists()
