"""env.py files as real projects write them, each with what the doctor must learn from it.

`{dir}` is the folder of the decoy's unix socket and `{port}` its TCP port. The shapes are those
of the feasibility study (locate.md section 1) and some more from real projects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from projects import SYNC

LIVE = "postgresql+psycopg2://app:s3cret-pw@/live?host={dir}"


@dataclass(frozen=True)
class Shape:
    """One project: `expect` holds attributes of the first context, `contexts` how many."""

    env: str = SYNC
    url: str | None = LIVE
    files: Mapping[str, str] = field(default_factory=dict)
    ini: str = ""
    x: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    contexts: int = 1


ONLINE = """\
from alembic import context
import models
{imports}
config = context.config
{setup}
with engine.connect() as connection:
    {before}
    context.configure(connection=connection, target_metadata=models.metadata{options})
    with context.begin_transaction():
        context.run_migrations()
"""


def online(imports: str = "", setup: str = "", before: str = "pass", options: str = "") -> str:
    return ONLINE.format(imports=imports, setup=setup, before=before, options=options)


ASYNC = """\
import asyncio
from alembic import context
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_engine_from_config
import models

config = context.config


def migrate(connection):
    context.configure(connection=connection, target_metadata=models.metadata)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = async_engine_from_config(config.get_section(config.config_ini_section))
    async with engine.connect() as connection:
        await connection.execute(text("SET search_path TO app"))
        await connection.run_sync(migrate)
    await engine.dispose()

asyncio.run(main())
"""

FLASK_ENV = """\
from flask import current_app
from alembic import context

config = context.config
database = current_app.extensions["migrate"].db
url = database.engine.url.render_as_string(hide_password=False).replace("%", "%%")
config.set_main_option("sqlalchemy.url", url)
with database.engine.connect() as connection:
    context.configure(connection=connection, target_metadata=database.metadata,
                      **current_app.extensions["migrate"].configure_args)
    with context.begin_transaction():
        context.run_migrations()
"""

FLASK_APP = """\
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = Migrate(compare_type=True)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://app:s3cret-pw@/live?host={dir}"
    db.init_app(app)
    migrate.init_app(app, db)
    return app
"""

LOOP = """\
from alembic import context
from sqlalchemy import create_engine, text
import models

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
for tenant in ("acme", "umbrella"):
    with engine.connect() as connection:
        connection.execute(text("SET search_path TO " + tenant))
        context.configure(connection=connection, target_metadata=models.metadata,
                          version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
"""

CREATE = 'engine = create_engine(config.get_main_option("sqlalchemy.url"))'
CREATOR = """\
from sqlalchemy import create_engine
from {driver} import connect


def dial():
    connection = connect({call})
    connection.autocommit = False
    return connection

engine = create_engine("{name}://", creator=dial)
"""


def creator(driver: str, call: str, name: str) -> str:
    return CREATOR.format(driver=driver, call=call, name=name)


LISTENER = """\
from sqlalchemy import create_engine, event
engine = create_engine(config.get_main_option("sqlalchemy.url"), connect_args={"options": "-c a=b"})


@event.listens_for(engine, "do_connect")
def token(dialect, record, args, parameters):
    parameters["password"] = "fresh-token"
    parameters["sslmode"] = "disable"
"""

DSN = "host={dir} user=app password='s3cret-pw' dbname=live"

SHAPES: dict[str, Shape] = {
    "sync": Shape(
        expect={"url": LIVE, "version_table": "alembic_version", "compare_type": True, "tables": 2}
    ),
    "sync-sqlite": Shape(url="sqlite:///live.db", expect={"render_as_batch": True}),
    "psycopg3": Shape(
        url="postgresql+psycopg://app:s3cret-pw@/live?host={dir}",
        expect={"url": "postgresql+psycopg://app:s3cret-pw@/live?host={dir}"},
    ),
    "tcp": Shape(
        url="postgresql+psycopg2://app:s3cret-pw@127.0.0.1:{port}/live",
        expect={"url": "postgresql+psycopg2://app:s3cret-pw@127.0.0.1:{port}/live"},
    ),
    "asyncpg": Shape(
        env=ASYNC,
        url="postgresql+asyncpg://app:s3cret-pw@127.0.0.1:{port}/live",
        expect={
            "url": "postgresql+asyncpg://app:s3cret-pw@127.0.0.1:{port}/live",
            "search_path": "SET search_path TO app",
        },
    ),
    "aiosqlite": Shape(
        env=ASYNC,
        url="sqlite+aiosqlite:///live.db",
        expect={"url": "sqlite+aiosqlite:///live.db", "dialect": "sqlite"},
    ),
    "attributes-connection": Shape(
        env=online(
            "from sqlalchemy import create_engine",
            'given = config.attributes.get("connection")\n' + CREATE,
        ),
        expect={"url": LIVE},
    ),
    "environ": Shape(
        env=online(
            "import os\nfrom sqlalchemy import create_engine",
            'engine = create_engine(os.environ["DATABASE_URL"])',
        ),
        url="sqlite:///wrong.db",
        environ={"DATABASE_URL": LIVE},
        expect={"url": LIVE},
    ),
    "app-engine": Shape(
        env=online("from app.database import engine"),
        url=None,
        files={
            "app/__init__.py": "",
            "app/database.py": "from sqlalchemy import create_engine\n"
            f'engine = create_engine("{LIVE}", isolation_level="AUTOCOMMIT")\n',
        },
        expect={"url": LIVE},
    ),
    "app-engine-connected": Shape(
        env=online("from app.database import engine"),
        url=None,
        files={
            "app/__init__.py": "",
            "app/database.py": "from sqlalchemy import create_engine, text\n"
            f'engine = create_engine("{LIVE}")\n'
            'kept = engine.connect()\nkept.execute(text("SELECT 1"))\n',
        },
        expect={"url": LIVE},
    ),
    "flask-migrate": Shape(
        env=FLASK_ENV,
        url=None,
        files={"app.py": FLASK_APP},
        expect={"url": LIVE, "compare_type": True, "tables": 1},
    ),
    "multi-schema": Shape(
        env=online(
            "from sqlalchemy import create_engine, text",
            CREATE,
            'connection.execute(text("SET search_path TO core"))',
            ', version_table="core_version", version_table_schema="core", include_schemas=True',
        ),
        expect={
            "version_table": "core_version",
            "version_table_schema": "core",
            "include_schemas": True,
            "search_path": "SET search_path TO core",
        },
    ),
    "creator-psycopg2": Shape(
        env=online(setup=creator("psycopg2", f'"{DSN}"', "postgresql+psycopg2")),
        url=None,
        expect={"url": LIVE},
    ),
    "creator-psycopg": Shape(
        env=online(setup=creator("psycopg", f'"{DSN}"', "postgresql+psycopg")),
        url=None,
        expect={"url": "postgresql+psycopg://app:s3cret-pw@/live?host={dir}"},
    ),
    "creator-sqlite": Shape(
        env=online(setup=creator("sqlite3", '"live.db"', "sqlite")),
        url=None,
        expect={"url": "sqlite:///live.db"},
    ),
    "listener": Shape(
        env=online(setup=LISTENER),
        expect={
            "url": "postgresql+psycopg2://app:fresh-token@/live?host={dir}",
            "connect_args": {"options": "-c a=b", "sslmode": "disable"},
        },
    ),
    "tenants": Shape(env=LOOP, expect={"version_table_schema": "acme"}, contexts=2),
    "module-query": Shape(
        env=online(
            "from sqlalchemy import create_engine, text",
            CREATE + "\nwith engine.connect() as c:\n"
            '    names = c.execute(text("SELECT name FROM settings")).scalars().all()',
        ),
        expect={"url": LIVE},
    ),
    "x-dburl": Shape(
        env=online(
            "from sqlalchemy import create_engine",
            'engine = create_engine(context.get_x_argument(as_dictionary=True)["dburl"])',
        ),
        url=None,
        x=(f"dburl={LIVE}",),
        expect={"url": LIVE},
    ),
    "metadata-list": Shape(
        env=SYNC.replace("models.metadata", "[models.metadata]"), expect={"has_metadata": True}
    ),
    "no-metadata": Shape(
        env=SYNC.replace("models.metadata", "None"), expect={"has_metadata": False, "tables": 0}
    ),
    "prints-and-exit-handlers": Shape(
        env='import atexit, sys\nprint("hello")\nsys.stderr.write("noise\\n")\n'
        'atexit.register(lambda: open("ran-at-exit", "w").close())\n' + SYNC,
        expect={"url": LIVE},
    ),
    "fails-after-configure": Shape(
        env=online("from sqlalchemy import create_engine", CREATE)
        + 'raise RuntimeError("no rows")\n',
        expect={"url": LIVE},
    ),
    "swallows": Shape(
        env=online("from sqlalchemy import create_engine", CREATE).replace(
            "with engine", "try:\n  x = 1\nexcept BaseException:\n  pass\nwith engine"
        ),
        expect={"url": LIVE},
    ),
}
