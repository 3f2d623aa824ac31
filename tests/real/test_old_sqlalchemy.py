"""The doctor in its own environment, the project in one with an SQLAlchemy of years ago.

And with the oldest Python that may run a project, where the host has one.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from migdoctor import samples
from migdoctor.samples import SEED, run_sql
from migdoctor.shadow import server
from tests.real.products import CACHE
from tests.running import migdoctor

pytestmark = pytest.mark.real
VERSIONS = {  # what is asked of pip, beside psycopg2
    "1.4": ("SQLAlchemy==1.4.*", "alembic==1.13.*"),
    "1.3": ("SQLAlchemy==1.3.24", "alembic==1.4.3"),
}
REVISION = '''\
"""gifts"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = "ccc3"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_table("gifts", sa.Column("id", sa.Integer(), primary_key=True))
        op.add_column("users", sa.Column("phone", sa.String(40)))
        op.create_index("uq_orders_total", "orders", ["total"], unique=True)
        op.create_index("ix_users_phone", "users", ["phone"])
        op.create_table("cards", sa.Column("id", sa.Integer(), primary_key=True))
'''


@dataclass(frozen=True, kw_only=True)
class Project:
    """The samples' project at ccc3, run by an interpreter of its own."""

    folder: Path
    python: Path
    url: str

    @property
    def plain(self) -> str:
        """The address for our own driver."""
        return self.url.replace("+psycopg2", "")

    def alembic(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.python), "-m", "alembic.config", *words],
            cwd=self.folder, text=True, capture_output=True, check=False,
        )  # fmt: skip

    def rows(self) -> list[Any]:
        return run_sql(self.plain, "SELECT version_num FROM alembic_version")


OLDEST = "python3.8"


def environment(version: str, interpreter: str = sys.executable) -> Path:
    """The interpreter of a virtual environment with that SQLAlchemy, made once."""
    home = CACHE / "-".join(["sqlalchemy", version, *([OLDEST] if interpreter == OLDEST else [])])
    python = home / "bin" / "python"
    if not (home / "ready").is_file():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([interpreter, "-m", "venv", str(home)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, *VERSIONS[version], "psycopg2-binary"], check=True)
        (home / "ready").touch()
    said = subprocess.run(
        [str(python), "-c", "import sqlalchemy; print(sqlalchemy.__version__)"],
        text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert said.startswith(version)
    assert sqlalchemy.__version__ >= "2"
    return python


@pytest.fixture(params=[*sorted(VERSIONS), f"1.4 on {OLDEST}"])
def python(request: pytest.FixtureRequest) -> Path:
    version, _, interpreter = request.param.partition(" on ")
    if not interpreter:
        return environment(version)
    # A launcher of that name may be there without the interpreter.
    found = shutil.which(interpreter)
    if not found or subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {interpreter} on this host")
    return environment(version, interpreter)


@pytest.fixture(params=["sqlite", "postgresql"])
def project(
    request: pytest.FixtureRequest, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    folder = tmp_path / "project"
    shutil.copytree(samples.root() / "_shared" / "project", folder)
    url = f"sqlite:///{folder / 'app.db'}"
    if request.param == "postgresql":
        address = make_url(server.running().create("old")).set(drivername="postgresql+psycopg2")
        url = address.render_as_string(hide_password=False)
    ini = folder / "alembic.ini"
    line = next(x for x in ini.read_text().splitlines() if x.startswith("sqlalchemy.url"))
    ini.write_text(ini.read_text().replace(line, f"sqlalchemy.url = {url.replace('%', '%%')}"))
    with (folder / "models.py").open("a") as models:  # whoever loads them says what it runs
        models.write("\nimport sqlalchemy\n\nassert sqlalchemy.__version__ < '2'\n")
    made = Project(folder=folder, python=python, url=url)
    monkeypatch.chdir(folder)
    try:
        upgraded = made.alembic("upgrade", "head")
        assert upgraded.returncode == 0, upgraded.stderr
        run_sql(made.plain, SEED)
        yield made
    finally:
        if request.param == "postgresql":
            server.running().drop(url)


def ask(capfd: pytest.CaptureFixture[str], project: Project, *words: str) -> dict[str, Any]:
    """The document of one call, with the project's interpreter named."""
    ran = migdoctor(capfd, *words, "--format", "json", "--python", str(project.python))
    assert ran.document["not_looked"] == []
    return ran.document


def codes(document: dict[str, Any]) -> list[str]:
    return sorted(f["code"] for f in document["findings"])


def test_healthy(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    seen = ask(capfd, project, "diagnose")
    assert codes(seen) == []
    assert (seen["position"]["verdict"], seen["position"]["certainty"]) == ("at-head", "certain")


def test_half_applied(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    (project.folder / "versions" / "ddd4_gifts.py").write_text(REVISION)
    run_sql(project.plain, "UPDATE orders SET total = 7")
    failed = project.alembic("upgrade", "head")
    assert failed.returncode != 0
    assert "IntegrityError" in failed.stderr

    assert codes(ask(capfd, project, "diagnose")) == ["MD503", "MD506"]
    part = ask(capfd, project, "locate")["position"]["partial"]
    assert (part["revision"], part["applied"], part["total"]) == ("ddd4", 2, 5)
    run_sql(project.plain, "UPDATE orders SET total = id")
    fixed = ask(capfd, project, "fix", "--apply", "--allow", "LOCKS_TABLE")
    assert {"MD503", "MD506"} <= {*fixed["verdict"]["cured"]}, fixed.get("error")
    assert set(codes(fixed)) <= {"MD602"}  # the project's models know no gifts
    assert project.rows() == [("ddd4",)]
    done = project.alembic("upgrade", "head")
    assert (done.returncode, "Running upgrade" in done.stderr) == (0, False)


def test_stamped_behind(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    run_sql(project.plain, "UPDATE alembic_version SET version_num = 'aaa1'")
    assert project.alembic("upgrade", "head").returncode != 0
    assert codes(ask(capfd, project, "diagnose")) == ["MD502", "MD506"]
    assert ask(capfd, project, "locate")["position"]["located"] == ["ccc3"]
    assert codes(ask(capfd, project, "fix", "--apply")) == []
    assert project.rows() == [("ccc3",)]
    assert project.alembic("upgrade", "head").returncode == 0


def test_a_base_that_can_only_partly_be_taken_back(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    versions = project.folder / "versions"
    (versions / "aaa1_create_users.py").unlink()  # its table was made by other means
    second = versions / "bbb2_create_orders.py"
    text = second.read_text().replace('down_revision = "aaa1"', "down_revision = None")
    second.write_text(text.replace('op.drop_table("orders")', "raise NotImplementedError"))
    position = ask(capfd, project, "locate")["position"]
    assert position["located"] == ["ccc3"], position
    assert (position["verdict"], position["certainty"]) == ("at-head", "certain")
