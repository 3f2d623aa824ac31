"""Fixtures for all tests: a state folder of their own, and samples that are really broken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migdoctor import samples
from migdoctor.observe import git
from migdoctor.samples import Box
from migdoctor.shadow.server import Server
from tests import running


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the journals, caches or settings of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MIGDOCTOR_STATE", str(home / "state"))
    # Keyed by content, so that tests may share what the replay of the same history has found.
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    # On a busy machine the two seconds that git has would end a look, and the test with it.
    monkeypatch.setattr(git, "SECONDS", 60.0)
    for name in ("ALEMBIC_CONFIG", "DATABASE_URL", "NO_COLOR", "FORCE_COLOR", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Box]]:
    """Builds a sample for an engine, goes into its project, and cleans up.

    The engine "older" is a PostgreSQL server of an older version than the shadow's.
    """
    boxes: list[Box] = []
    made: list[tuple[Server, str]] = []

    def build(name: str, engine: str) -> Box:
        url = None
        dialect = "postgresql" if engine == "older" else engine
        if live := running.other_server(engine):
            url = live.create("sample")
            made.append((live, url))
        try:
            box = samples.build(name, dialect, tmp_path / "project", url)
        except samples.TooOld as error:
            pytest.skip(error.message)
        boxes.append(box)
        for variable, value in box.env.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.chdir(box.folder)
        return box

    yield build
    for box in boxes:
        box.close()
    for live, url in made:
        live.drop(url)
