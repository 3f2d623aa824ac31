"""The configuration is found as alembic finds it, without importing anything."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projects import project

from migdoctor.errors import ConfigNotFound, UsageError
from migdoctor.project.config import Request, find


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("ALEMBIC_CONFIG", raising=False)


def write(folder: Path, text: str, name: str = "alembic.ini") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def scripts(folder: Path) -> Path:
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").touch()
    return folder


def refused(**request) -> ConfigNotFound:
    with pytest.raises(ConfigNotFound) as error:
        find(Request(**request))
    assert error.value.code == "MD001"
    assert error.value.exit_code == 2
    assert error.value.message.endswith(".")
    assert error.value.help.endswith(".")
    return error.value


def test_plain(tmp_path):
    folder = project(tmp_path / "p", ini="sourceless = true\nversion_table = v\n")
    found = find(Request(cwd=folder))
    assert found.config_file == folder / "alembic.ini"
    assert found.script_location == folder / "migrations"
    assert found.locations == (folder / "migrations" / "versions",)
    assert found.env_py == folder / "migrations" / "env.py"
    assert (found.ini_url, found.section) == ("sqlite:///live.db", "alembic")
    assert found.version_table == "v"
    assert (found.sourceless, found.recursive, found.writable) == (True, False, True)
    assert found.prepend_sys_path == (folder,)
    assert found.python == Path(sys.executable)
    assert "live.db" not in repr(found)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("postgresql://a:b%40c@h/d", "postgresql://a:b%40c@h/d"),
        ("postgresql://a:b%%40c@h/d", "postgresql://a:b%40c@h/d"),
        ("sqlite:///%(here)s/x.db", "sqlite:///{here}/x.db"),
        ("postgresql://a:%(pw)s@h/d", "postgresql://a:50%@h/d"),
        ("postgresql://a:%(unknown)s@h/d", "postgresql://a:%(unknown)s@h/d"),
        ("driver://user:pass@localhost/dbname", None),
        ("not a url", None),
    ],
)
def test_url_is_read_raw(tmp_path, written, read):
    scripts(tmp_path / "m")
    text = f"[DEFAULT]\npw = 50%%\n[alembic]\nscript_location = m\nsqlalchemy.url = {written}\n"
    write(tmp_path, text)
    url = find(Request(cwd=tmp_path)).ini_url
    assert url == (read and read.replace("{here}", str(tmp_path)))


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("version_locations = v1 v2", ["v1", "v2"]),
        ("version_locations = v1, v2", ["v1", "v2"]),
        ("version_locations = v 1:v2\npath_separator = os", ["v 1", "v2"]),
        ("version_locations = v1;v2\npath_separator = ;", ["v1", "v2"]),
        ("version_locations = v1:v2\nversion_path_separator = :", ["v1", "v2"]),
        ("version_locations = v1 v2\nversion_path_separator = space", ["v1", "v2"]),
        ("version_locations =\n  v 1\n  v2\npath_separator = newline", ["v 1", "v2"]),
        ("version_locations = %(here)s/m/versions\npath_separator = os", ["m/versions"]),
        ("recursive_version_locations = true", ["m/versions"]),
        ("version_locations = pack.inner:v", ["pack/inner/v"]),
    ],
)
def test_version_locations(tmp_path, lines, names):
    scripts(tmp_path / "m")
    (tmp_path / "pack" / "inner" / "v").mkdir(parents=True)
    write(tmp_path, f"[alembic]\nscript_location = m\n{lines}\n")
    found = find(Request(cwd=tmp_path))
    assert found.locations == tuple(tmp_path / name for name in names)
    assert found.recursive == ("recursive" in lines)


def test_sources_of_configuration(tmp_path, monkeypatch):
    cwd = tmp_path
    scripts(tmp_path / "m")
    scripts(tmp_path / "migrations")
    assert find(Request(cwd=cwd, script_location="m")).config_file is None
    pyproject = write(
        tmp_path,
        '[tool.alembic]\nscript_location = "%(here)s/m"\nversion_locations = ["m/a", "m/b"]\n',
        "pyproject.toml",
    )
    found = find(Request(cwd=cwd))
    assert (found.config_file, found.pyproject) == (None, pyproject)
    assert found.locations == (tmp_path / "m/a", tmp_path / "m/b")
    flask = write(tmp_path, "[alembic]\n", "migrations/alembic.ini")
    pyproject.write_text("[project]\nname = 'x'\n")
    found = find(Request(cwd=cwd))
    assert (found.config_file, found.script_location) == (flask, tmp_path / "migrations")
    assert found.pyproject is None
    ini = write(tmp_path, "[alembic]\nscript_location = m\n[two]\nscript_location = migrations\n")
    assert find(Request(cwd=cwd)).config_file == ini
    assert find(Request(cwd=cwd, name="two")).script_location == tmp_path / "migrations"
    assert find(Request(cwd=cwd, config=Path("migrations/alembic.ini"))).config_file == flask
    monkeypatch.setenv("ALEMBIC_CONFIG", str(flask))
    assert find(Request(cwd=cwd)).config_file == flask
    assert find(Request(cwd=cwd, config=ini)).config_file == ini


def test_pyproject_named_beside_an_ini(tmp_path):
    scripts(tmp_path / "m")
    write(tmp_path, "[alembic]\nsqlalchemy.url = sqlite:///x.db\n")
    write(tmp_path, '[tool.alembic]\nscript_location = "m"\n', "pyproject.toml")
    found = find(Request(cwd=tmp_path, config=Path("pyproject.toml")))
    assert (found.script_location, found.ini_url) == (tmp_path / "m", "sqlite:///x.db")


def test_package_location(tmp_path):
    """The package is found on the project's path, or by its interpreter, and not imported."""
    scripts(tmp_path / "src" / "pack" / "db" / "m")
    write(tmp_path, "raise SystemExit", "src/pack/__init__.py")
    ini = write(tmp_path, "[alembic]\nprepend_sys_path = src\nscript_location = pack.db:m\n")
    found = find(Request(cwd=tmp_path))
    assert found.script_location == tmp_path / "src/pack/db/m"
    ini.write_text("[alembic]\nscript_location = flask_migrate:templates\n")
    installed = find(Request(cwd=tmp_path))
    assert installed.script_location.name == "templates"
    assert not installed.writable
    ini.write_text("[alembic]\nscript_location = not_a_package:m\n")
    assert "not_a_package" in refused(cwd=tmp_path).message


def test_nothing_there(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    error = refused(cwd=empty)
    assert "no alembic.ini, no migrations/alembic.ini" in error.message
    assert str(empty) in error.message
    assert "--script-location" in error.help
    one = write(empty, "[alembic]\n", "a/alembic.ini")
    assert str(one) in refused(cwd=empty).help
    two = write(empty, '[tool.alembic]\nscript_location = "x"\n', "b/pyproject.toml")
    write(empty, "[alembic]\n", "node_modules/alembic.ini")
    error = refused(cwd=empty)
    assert f"{one}, {two}." in error.help
    assert "Name one of these" in error.help


def test_named_files_that_do_not_serve(tmp_path, monkeypatch):
    assert "does not exist" in refused(cwd=tmp_path, config=Path("no.ini")).message
    (tmp_path / "dir").mkdir()
    assert "is a folder" in refused(cwd=tmp_path, config=Path("dir")).message
    ini = write(tmp_path, "sqlalchemy.url = postgresql://a:s3cret@h/d\n")
    error = refused(cwd=tmp_path)
    assert "before any [section]" in error.message
    assert "s3cret" not in str(error)
    ini.write_bytes(b"\xff\xfe\x00\x80")
    assert "not UTF-8" in refused(cwd=tmp_path).message
    ini.write_text("[alembic]\nx = 1\n")
    assert "no script_location" in refused(cwd=tmp_path).message
    assert "[other]" in refused(cwd=tmp_path, name="other").message
    ini.write_text("[alembic]\nscript_location = gone\n")
    assert f"{tmp_path / 'gone'} does not exist" in refused(cwd=tmp_path).message
    scripts(tmp_path / "gone")
    elsewhere = tmp_path / "dir"
    error = refused(cwd=elsewhere, config=ini)
    assert f"run this in {tmp_path}" in error.help
    monkeypatch.setenv("ALEMBIC_CONFIG", "also-gone.ini")
    assert "ALEMBIC_CONFIG" in refused(cwd=tmp_path).message
    write(tmp_path, "[tool\n", "pyproject.toml")
    monkeypatch.delenv("ALEMBIC_CONFIG")
    assert "TOML" in refused(cwd=tmp_path).message


def test_interpreter(tmp_path, monkeypatch):
    folder = project(tmp_path / "p")
    (folder / "pyproject.toml").touch()

    def venv(path: Path) -> Path:
        python = path / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        return python

    outside = venv(tmp_path / ".venv")
    assert find(Request(cwd=folder)).python == Path(sys.executable)
    inside = venv(folder / "venv")
    (folder / "sub").mkdir()
    found = find(Request(cwd=folder / "sub", config=folder / "alembic.ini"))
    assert (found.python, found.python_chosen) == (inside, False)
    monkeypatch.setenv("VIRTUAL_ENV", str(outside.parent.parent))
    assert find(Request(cwd=folder)).python == outside
    found = find(Request(cwd=folder, python=Path("venv")))
    assert (found.python, found.python_chosen) == (inside, True)
    with pytest.raises(UsageError, match="not an interpreter"):
        find(Request(cwd=folder, python=Path("nowhere/python")))


def test_writable(tmp_path):
    folder = project(tmp_path / "p")
    assert find(Request(cwd=folder)).writable
    outside = scripts(tmp_path / "site-packages" / "m")
    assert not find(Request(cwd=tmp_path, script_location=str(outside))).writable
    scripts(tmp_path / "q" / "m")
    elsewhere = find(Request(cwd=folder, script_location=str(tmp_path / "q" / "m")))
    assert not elsewhere.writable
