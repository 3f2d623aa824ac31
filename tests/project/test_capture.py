"""capture: env.py files of many shapes are asked; nothing may reach what they call live."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projects import Decoy, decoy, project
from shapes import SHAPES

from migdoctor.project import Agent
from migdoctor.project.config import Request, find


@pytest.fixture
def live(tmp_path):
    with decoy(tmp_path / "socket") as listening:
        yield listening


def filled(text: object, live: Decoy) -> object:
    if not isinstance(text, str):
        return text
    return text.replace("{dir}", str(live.folder)).replace("{port}", str(live.port))


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name, tmp_path, live, monkeypatch):
    shape = SHAPES[name]
    for variable, value in shape.environ.items():
        monkeypatch.setenv(variable, filled(value, live))
    url = shape.url and filled(shape.url, live)
    files = {path: filled(text, live) for path, text in shape.files.items()}
    env = filled(shape.env, live)
    folder = project(tmp_path / "p", env=env, url=url, files=files, ini=shape.ini)
    x = tuple(filled(entry, live) for entry in shape.x)
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    with Agent(find(Request(cwd=folder, x=x)), timeout=30) as agent:
        captured = agent.capture()
    seen = captured.contexts[0]
    got = {key: getattr(seen, key) for key in shape.expect}
    if "url" in got:
        got["url"] = got["url"].replace("%2F", "/")
    assert got == {key: filled(value, live) for key, value in shape.expect.items()}
    assert len(captured.contexts) == shape.contexts
    assert live.calls == 0
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before
