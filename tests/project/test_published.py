"""What published products taught: addresses, version folders and listeners that others supply."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from migdoctor.project import Agent, Capture
from migdoctor.project.config import Request, find
from migdoctor.target import open_target
from tests.project.projects import SYNC, project

OLD = SYNC.replace(
    "config = context.config\n",
    "config = context.config\n"
    "from logging.config import fileConfig\nfileConfig(str(config.config_file_name))\n",
)
PLACES = SYNC.replace(
    "config = context.config\n",
    "config = context.config\n"
    "import pathlib\n"
    "here = pathlib.Path(__file__).parent / 'versions' / 'sqlite'\n"
    "context.script.version_locations = [str(here)]\n",
)
LISTENING = SYNC.replace(
    "    with engine.connect()",
    "    from sqlalchemy import event\n"
    "    @event.listens_for(engine, 'connect')\n"
    "    def connected(_connection, record):\n"
    "        record.info['pid'] = 1\n"
    "    @event.listens_for(engine, 'checkout')\n"
    "    def lent(_connection, record, _fairy):\n"
    "        assert record.info['pid'] == 1\n"
    "    with engine.connect()",
)
REVISION = '"""x"""\nrevision = "{0}"\ndown_revision = None\n'


def captured(request: Request) -> Capture:
    with Agent(find(request)) as agent:
        return agent.capture()


def test_a_location_may_have_several_colons(tmp_path: Path) -> None:
    project(tmp_path / "pack" / "inner")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = pack:inner:migrations\nprepend_sys_path = .\n")
    found = find(Request(cwd=tmp_path))
    assert found.script_location == tmp_path / "pack" / "inner" / "migrations"


def test_env_py_without_an_ini_gets_the_address_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, env=OLD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    request = Request(cwd=tmp_path, script_location="migrations", url="sqlite:///100%.db")
    (context,) = captured(request).contexts
    assert context.url is not None
    assert make_url(context.url).database == make_url("sqlite:///100%.db").database
    assert context.tables == 2


@pytest.mark.parametrize("placeholder", ["driver://user:pass@localhost/dbname", None])
def test_a_placeholder_gives_way_to_the_address_that_was_given(
    tmp_path: Path, placeholder: str | None
) -> None:
    project(tmp_path, url=placeholder)
    (context,) = captured(Request(cwd=tmp_path, url="sqlite:///given.db")).contexts
    assert context.url == "sqlite:///given.db"


def test_an_address_of_the_ini_stays(tmp_path: Path) -> None:
    project(tmp_path, url="sqlite:///own.db")
    (context,) = captured(Request(cwd=tmp_path, url="sqlite:///given.db")).contexts
    assert context.url == "sqlite:///own.db"


def test_the_version_folders_are_those_that_env_py_names(tmp_path: Path) -> None:
    project(tmp_path, env=PLACES)
    inner = tmp_path / "migrations" / "versions" / "sqlite"
    inner.mkdir()
    (inner / "b1.py").write_text(REVISION.format("b1"))
    (inner / "b2.py").write_text(REVISION.format("b2"))
    with open_target(Request(cwd=tmp_path), quick=False) as target:
        assert target.locations == (inner,)
        assert target.project.writable
        draft = target.agent.merge(("b1", "b2"), "m1", "merge")
    assert draft.path.parent == inner


def test_the_version_folders_of_the_ini_stay_where_env_py_names_none(tmp_path: Path) -> None:
    project(tmp_path)
    with open_target(Request(cwd=tmp_path), quick=False) as target:
        assert target.locations == (tmp_path / "migrations" / "versions",)


def test_a_package_without_its_template_gets_alembics_own(tmp_path: Path) -> None:
    project(tmp_path, revisions=(("a1", None), ("a2", None)))
    (tmp_path / "migrations" / "script.py.mako").unlink()
    with Agent(find(Request(cwd=tmp_path))) as agent:
        draft = agent.merge(("a1", "a2"), "m1", "merge")
    assert "down_revision" in draft.text
    assert "'a1', 'a2'" in draft.text


def test_a_template_that_spoils_merges_gives_way(tmp_path: Path) -> None:
    project(tmp_path, revisions=(("a1", None), ("a2", None)))
    template = tmp_path / "migrations" / "script.py.mako"
    template.write_text(
        template.read_text().replace("${repr(down_revision)}", '"${down_revision}"')
    )
    with Agent(find(Request(cwd=tmp_path))) as agent:
        draft = agent.merge(("a1", "a2"), "m1", "merge")
    assert "= ('a1', 'a2')" in draft.text


def test_listeners_find_what_their_own_kind_left(tmp_path: Path) -> None:
    project(tmp_path, env=LISTENING)
    (context,) = captured(Request(cwd=tmp_path)).contexts
    assert context.url == "sqlite:///live.db"


def test_models_that_nobody_imported_are_none(tmp_path: Path) -> None:
    project(tmp_path)
    with open_target(Request(cwd=tmp_path), quick=False) as target:
        assert target.has_metadata
    (tmp_path / "models.py").write_text("import sqlalchemy\nmetadata = sqlalchemy.MetaData()\n")
    with open_target(Request(cwd=tmp_path), quick=False) as target:
        assert not target.has_metadata
