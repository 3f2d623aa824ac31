"""Published products that ship an alembic history: how to install, migrate and diagnose each.

Every product has a virtual environment of its own; our package is not in it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("MIGDOCTOR_REAL") or Path(__file__).parents[2] / ".real").absolute()


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product. In all texts, {bin}, {here}, {url}, {url%%} (as an ini has it) and
    {site} are filled in.

    `needs` maps requirements to what must be there once they are installed. `files` are written
    before anything runs, `migrate` brings an empty database to head, `compare` exits with 0 when
    alembic's own comparison with the product's own options finds nothing (None: its env.py imports
    no models, so there is nothing to compare with). `words` is what a user of that product adds to
    migdoctor's command line; `copied` the same for a copy of its script folder at {scripts} (None:
    its version folders are named by its code alone). `created`: it makes a new database from its
    models and stamps it, so that it may differ from what its history would make. `go` brings an
    empty database to {revision}, or one at head back to it where `back` names how many revisions
    its own downgrades can take back.
    """

    name: str
    needs: Mapping[str, str]
    scripts: str
    migrate: str
    compare: str | None
    words: str
    copied: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    database: str = "sqlite:///{here}/app.db"
    on_postgresql: str | None = None  # the driver of its URL there
    go: str | None = None
    back: int = 0
    heads: int = 1
    created: bool = False
    slow: bool = False  # importing it takes so long that repeated looks are --quick

    @property
    def home(self) -> Path:
        return CACHE / self.name

    @property
    def site(self) -> Path:
        return next((self.home / "lib").glob("python3.*")) / "site-packages"

    def install(self) -> None:
        """Make the environment once; afterwards this only looks."""
        python = self.home / "bin" / "python"
        if not python.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(self.home)], check=True)
        for requirement, proof in self.needs.items():
            if not any(self.home.glob(proof)):
                pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
                subprocess.run([*pip, requirement], check=True)


JUPYTERHUB_INI = """\
from jupyterhub.dbutil import write_alembic_ini
write_alembic_ini("{here}/alembic.ini", "{url}")
"""
PREFECT_COMPARE = """\
import asyncio
import alembic.command
from prefect.server.database.alembic_commands import alembic_config
from prefect.utilities.asyncutils import run_sync_in_worker_thread
asyncio.run(run_sync_in_worker_thread(alembic.command.check, alembic_config()))
"""
BUILDBOT_INI = "buildbot/db/migrations/alembic.ini"
BUILDBOT_COMPARE = """\
from alembic import command
from alembic.config import Config
config = Config("{site}/buildbot/db/migrations/alembic.ini")
config.set_main_option("sqlalchemy.url", "{url}")
command.check(config)
"""

OPTUNA_INI = """\
[alembic]
script_location = {site}/optuna/storages/_rdb/alembic
sqlalchemy.url = {url%%}
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
handlers =
"""

JUPYTERHUB = Product(
    name="jupyterhub",
    needs={
        "jupyterhub": "bin/jupyterhub",
        "psycopg2-binary": "lib/python3.*/site-packages/psycopg2",
    },
    scripts="jupyterhub/alembic",
    files={
        "ini.py": JUPYTERHUB_INI,
        # what the hub does when it starts: create_all(), then stamp
        "start.py": "from jupyterhub import orm\norm.new_session_factory('{url}')\n",
    },
    migrate="{bin}/python start.py && {bin}/python ini.py",
    created=True,
    compare="{bin}/alembic check",
    words="",
    copied="--script-location {scripts} --url {url}",
    on_postgresql="postgresql+psycopg2",
    go="{bin}/alembic downgrade {revision}",
    back=5,
)
BUILDBOT = Product(
    name="buildbot",
    needs={"buildbot": "bin/buildbot"},
    scripts="buildbot/db/migrations",
    files={"compare.py": BUILDBOT_COMPARE},
    database="sqlite:///{here}/master/state.sqlite",
    migrate="{bin}/buildbot create-master master",
    created=True,
    compare="{bin}/python compare.py",
    words="-c {site}/buildbot/db/migrations/alembic.ini --url {url}",
    copied="--script-location {scripts} --url {url}",
)
KEYSTONE = Product(
    name="keystone",
    needs={
        "keystone": "bin/keystone-manage",
        "psycopg2-binary": "lib/python3.*/site-packages/psycopg2",
    },
    scripts="keystone/common/sql/migrations",
    files={"keystone.conf": "[database]\nconnection = {url}\n"},
    migrate="{bin}/keystone-manage --config-file keystone.conf db_sync",
    compare=None,
    words="-c {site}/keystone/common/sql/alembic.ini"
    " --via 'keystone-manage --config-file keystone.conf db_sync'",
    on_postgresql="postgresql+psycopg2",
    heads=2,
    slow=True,
)
PREFECT = Product(
    name="prefect",
    needs={"prefect": "bin/prefect"},
    scripts="prefect/server/database/_migrations",
    files={"compare.py": PREFECT_COMPARE},
    env={"PREFECT_HOME": "{here}/home", "PREFECT_API_DATABASE_CONNECTION_URL": "{url}"},
    database="sqlite+aiosqlite:///{here}/app.db",
    migrate="{bin}/prefect server database upgrade -y",
    go="{bin}/prefect server database upgrade -y -r {revision}",
    compare="{bin}/python compare.py",
    words="-c {site}/prefect/server/database/alembic.ini"
    " --via 'prefect server database upgrade -y'",
    slow=True,
)
AIRFLOW = Product(
    name="airflow",
    needs={
        "apache-airflow": "bin/airflow",
        "psycopg2-binary": "lib/python3.*/site-packages/psycopg2",
        "asyncpg": "lib/python3.*/site-packages/asyncpg",
    },
    scripts="airflow/migrations",
    env={"AIRFLOW_HOME": "{here}/home", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "{url}"},
    migrate="{bin}/airflow db migrate",
    created=True,
    compare="{bin}/alembic -c {site}/airflow/alembic.ini check",
    go="{bin}/alembic -c {site}/airflow/alembic.ini upgrade {revision}",
    words="-c {site}/airflow/alembic.ini",
    copied="--script-location {scripts}",
    on_postgresql="postgresql+psycopg2",
    slow=True,
)
OPTUNA = Product(
    name="optuna",
    needs={
        "optuna": "lib/python3.*/site-packages/optuna",
        "psycopg2-binary": "lib/python3.*/site-packages/psycopg2",
    },
    scripts="optuna/storages/_rdb/alembic",
    files={
        "start.py": "import optuna\noptuna.storages.RDBStorage('{url}')\n",
        "alembic.ini": OPTUNA_INI,
    },
    migrate="{bin}/python start.py",
    created=True,
    compare="{bin}/python -m alembic check",
    words="",
    copied="--script-location {scripts} --url {url}",
    on_postgresql="postgresql+psycopg2",
    go="{bin}/python -m alembic upgrade {revision}",
)
ALL = (JUPYTERHUB, BUILDBOT, OPTUNA, KEYSTONE, PREFECT, AIRFLOW)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One database of a product and the folder that belongs to it."""

    product: Product
    dialect: str
    here: Path
    url: str

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path("/" + self.url.partition(":////")[2])

    def fill(self, text: str) -> str:
        values = {
            "bin": self.product.home / "bin",
            "here": self.here,
            "url": self.url,
            "url%%": self.url.replace("%", "%%"),
            "site": self.product.site,
            "scripts": self.here / "scripts",
        }
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) | {k: self.fill(v) for k, v in self.product.env.items()}

    def write_files(self) -> None:
        for name, text in self.product.files.items():
            (self.here / name).write_text(self.fill(text))

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """A command of the product, in its folder and with its settings."""
        return subprocess.run(
            self.fill(command), shell=True, cwd=self.here, env=self.environment,
            text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def migrate(self) -> None:
        self.write_files()
        done = self.run(self.product.migrate)
        assert done.returncode == 0, done.stdout + done.stderr

    def agrees_with_models(self) -> bool:
        """What alembic's own comparison says, run by the product's own code."""
        if self.product.compare is None:
            return True
        done = self.run(self.product.compare)
        said = done.stdout + done.stderr
        found = "New upgrade operations detected" in said
        assert found or done.returncode == 0, said
        return not found

    def copy_to(self, folder: Path) -> "Place":
        """The same product on a copy of a SQLite database, in a folder of its own."""
        shutil.copytree(self.here, folder, dirs_exist_ok=True)
        url = self.url.replace(str(self.here), str(folder))
        copy = Place(product=self.product, dialect=self.dialect, here=folder, url=url)
        copy.write_files()
        ini = folder / "alembic.ini"
        if ini.is_file():
            ini.write_text(ini.read_text().replace(str(self.here), str(folder)))
        return copy

    def copy_scripts(self) -> Path:
        """A copy of the product's script folder that may be written to."""
        skip = shutil.ignore_patterns("__pycache__")
        return shutil.copytree(
            self.product.site / self.product.scripts, self.here / "scripts", ignore=skip
        )
