"""Runs env.py as alembic would."""

from __future__ import annotations

import argparse
import logging.config
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from .state import Failure, State, Stop


def load(project: dict[str, Any]) -> Any:
    """The project's Config and ScriptDirectory; loads no revision yet."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    options = argparse.Namespace(
        config=[project["ini"]] if project["ini"] else None, name=project["section"],
        x=project["x"] or None, raiseerr=True, quiet=True, verbose=False,
        cmd=(command.current, [], ["verbose"]),
    )  # fmt: skip
    more = {"toml_file": project["toml"]} if project["toml"] else {}
    config = Config(project["ini"], ini_section=project["section"], cmd_opts=options, **more)
    location = config.get_main_option("script_location") if project["ini"] else None
    if not location and not project["toml"]:
        config.set_main_option("script_location", project["script_location"].replace("%", "%%"))
    if project["url"]:
        config.set_main_option("sqlalchemy.url", project["url"].replace("%", "%%"))
    if not project["ini"]:
        # env.py of many projects calls fileConfig(config.config_file_name), whatever that is
        logging.config.fileConfig = lambda *_args, **_kw: None
    sys.argv = ["alembic", "current"]
    script: Any = ScriptDirectory.from_config(config)
    if project.get("locations"):
        script.version_locations = project["locations"]  # copies that stand in for the project's
    return config, script


def run_env(project: dict[str, Any], hook: Any, as_sql: bool = False) -> Any:
    """Run env.py; `hook` is called after each configure() and may raise Stop."""
    from alembic.runtime.environment import EnvironmentContext

    config, script = load(project)
    State.hook = hook
    environment = EnvironmentContext(
        config, script, fn=lambda _rev, _context: [], as_sql=as_sql, destination_rev="head",
        template_args={"config": config},
    )  # fmt: skip
    try:
        with environment, app_context(project):
            script.run_env()
    except Stop:
        pass
    finally:
        State.hook = None
    return environment


@contextmanager
def app_context(project: dict[str, Any]) -> Iterator[Any]:
    """Inside Flask's application context where env.py needs one (Flask-Migrate; incident 81)."""
    try:
        text = Path(project["env_py"]).read_text(encoding="utf-8", errors="replace")
        wanted = "current_app" in text
    except (OSError, TypeError):
        wanted = False
    if not wanted or not _installed("flask"):
        yield
        return
    from flask.cli import ScriptInfo, load_dotenv

    load_dotenv()
    path = os.environ.get("FLASK_APP")
    try:
        app = ScriptInfo(path).load_app() if path else ScriptInfo().load_app()
    except BaseException as error:
        text = "the Flask application could not be loaded (FLASK_APP=%s): %s" % (path, error)
        raise Failure("environment", text) from error
    with app.app_context():
        yield


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
