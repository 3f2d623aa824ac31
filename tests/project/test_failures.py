"""What goes wrong in a project's own code arrives as a structured failure, without secrets."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projects import LIKE_MODELS, SYNC, decoy, project, sqlite_file
from shapes import CREATE, FLASK_APP, FLASK_ENV, online

from migdoctor.project import Agent
from migdoctor.project.config import Request, find
from migdoctor.project.process import AgentFailed


def failure(folder: Path, **request: object) -> AgentFailed:
    found = find(Request(cwd=folder, **request))
    with Agent(found, timeout=20) as agent, pytest.raises(AgentFailed) as failed:
        agent.capture()
    return failed.value


ENGINE = online("from sqlalchemy import create_engine", CREATE)
FAILING = {
    "import": ("import not_installed_anywhere\n", "environment", "ModuleNotFoundError", 1),
    "key": ("import os\nos.environ['DATABASE_URL_MISSING']\n", "env.py", "KeyError", 2),
    "exit": ("import sys\nsys.exit(3)\n", "env.py", "SystemExit: 3", 2),
    "never": ("x = 1\n", "no-context", "without calling", None),
    "hard exit": ("import os\nprint('bye')\nos._exit(7)\n", "ended", "exit status 7", None),
    "greenlet": (
        "import sys\nsys.modules['greenlet'] = None\nraise ValueError('the greenlet library is "
        "required to use this function. No module named greenlet')\n",
        "environment",
        "greenlet",
        3,
    ),
    "url": (
        "from sqlalchemy import create_engine\ncreate_engine('')\n",
        "env.py",
        "Could not parse",
        2,
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_failure(name, tmp_path):
    env, kind, text, line = FAILING[name]
    failed = failure(project(tmp_path / "p", env=env))
    assert (failed.kind, failed.line) == (kind, line)
    assert text in failed.error
    assert failed.code == "MD002"


def test_output_is_kept_and_secrets_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("APP_SECRET_KEY", "hunter2-of-the-app")
    env = (
        "import os, sys\nprint('starting with', os.environ['APP_SECRET_KEY'])\n"
        "sys.stderr.write('postgresql://app:s3cret-pw@db/live\\n')\n"
        "raise RuntimeError('cannot reach postgresql://app:s3cret-pw@db/live password=s3cret-pw')\n"
    )
    url = "postgresql://app:s3cret-pw@db/live"
    failed = failure(project(tmp_path / "p", env=env, url=url))
    said = f"{failed} {failed.log} {failed.error}"
    assert "starting with ***" in failed.log
    assert "postgresql://app:***@db/live" in failed.error
    assert "s3cret-pw" not in said
    assert "hunter2" not in said


def test_lone_percent_masks_the_password(tmp_path):
    """alembic's own error prints the address of the ini (incident 75)."""
    folder = project(tmp_path / "p", url="postgresql://app:p4%40word@db/live")
    ini = folder / "alembic.ini"
    ini.write_text(ini.read_text().replace("%%40", "%40"))
    failed = failure(folder)
    assert "Interpolation" in failed.error
    assert "p4%40word" not in f"{failed} {failed.log}"


def test_endless_env_is_ended_and_the_next_question_answered(tmp_path):
    folder = project(tmp_path / "p", env="import time, pathlib\n"
        "if not pathlib.Path('go').exists():\n    time.sleep(600)\n" + SYNC)  # fmt: skip
    with Agent(find(Request(cwd=folder)), timeout=3) as agent:
        with pytest.raises(AgentFailed) as failed:
            agent.capture()
        (folder / "go").touch()
        assert len(agent.capture().contexts) == 1
    assert failed.value.kind == "timeout"


def test_flask_application_that_is_not_there(tmp_path):
    failed = failure(project(tmp_path / "p", env=FLASK_ENV, url=None))
    assert failed.kind == "environment"
    assert "FLASK_APP" in failed.error


def test_flask_application_by_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASK_APP", "shop:create_app")
    folder = project(tmp_path / "p", env=FLASK_ENV, url=None, files={"shop.py": FLASK_APP})
    with Agent(find(Request(cwd=folder))) as agent:
        assert agent.capture().contexts[0].dialect == "postgresql"


def test_a_module_of_the_project_may_be_called_like_ours(tmp_path):
    files = {"config.py": "name = 'mine'\n", "agent.py": "name = 'mine'\n"}
    env = "import config as c, agent\nassert c.name == agent.name == 'mine'\n" + SYNC
    with Agent(find(Request(cwd=project(tmp_path / "p", env=env, files=files)))) as agent:
        assert agent.capture().contexts


def test_interpreter_without_alembic(tmp_path):
    bare = tmp_path / "bare" / "bin" / "python"
    bare.parent.mkdir(parents=True)
    bare.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 -S "$@"\n')
    bare.chmod(0o755)
    folder = project(tmp_path / "p")
    failed = failure(folder, python=bare)
    assert failed.kind == "environment"
    assert "alembic" in failed.error
    folder.joinpath(".venv").symlink_to(bare.parent.parent)


def test_guessed_interpreter_without_alembic_gives_way(tmp_path, monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    folder = project(tmp_path / "p")
    bare = folder / ".venv" / "bin" / "python"
    bare.parent.mkdir(parents=True)
    bare.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 -S "$@"\n')
    bare.chmod(0o755)
    found = find(Request(cwd=folder))
    assert found.python == bare
    with Agent(found) as agent:
        assert agent.capture().contexts


def test_nothing_ran_and_nobody_was_called(tmp_path):
    """A program that only migrates through its own manager (`--via`), at its live address."""
    with decoy(tmp_path / "socket") as live:
        url = f"postgresql+psycopg2://app:s3cret-pw@/live?host={live.folder}"
        manager = (
            "import sys\nfrom alembic import command\nfrom alembic.config import Config\n"
            "config = Config('alembic.ini')\nconfig.attributes['only_here'] = True\n"
            "open('started', 'w').close()\ncommand.upgrade(config, sys.argv[1])\n"
            "open('finished', 'w').close()\n"
        )
        env = "from alembic import context\ncontext.config.attributes['only_here']\n" + SYNC
        folder = project(tmp_path / "p", env=env, url=url, files={"manage.py": manager})
        plain = failure(folder)
        with Agent(find(Request(cwd=folder, via="python manage.py head"))) as agent:
            captured = agent.capture()
        with (
            Agent(find(Request(cwd=folder, via="python manage.py --nowhere"))) as agent,
        ):
            assert agent.capture().contexts
        with (
            Agent(find(Request(cwd=folder, via="python -c 'print(1)'"))) as agent,
            pytest.raises(AgentFailed) as silent,
        ):
            agent.capture()
        assert live.calls == 0
        clone = sqlite_file(tmp_path / "clone.db", LIKE_MODELS)
        (folder / "alembic.ini").write_text(
            (folder / "alembic.ini").read_text().replace(url, "sqlite:///live.db")
        )
        with Agent(find(Request(cwd=folder, via="python manage.py head"))) as agent:
            compared = agent.models(f"sqlite:///{clone}")
    assert compared.drifts == ()
    assert not (folder / "live.db").exists()
    assert "KeyError" in plain.error
    assert captured.contexts[0].url.replace("%2F", "/") == url
    assert (folder / "started").exists()
    assert not (folder / "finished").exists()
    assert silent.value.kind == "ended"
