"""Find the alembic configuration as alembic does, without importing alembic or the project.

alembic interpolates every value with configparser and stops at a lone '%' (incident 75). Here
values are read raw and interpolated leniently, so that a sick configuration can still be described.
"""

import configparser
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migdoctor.errors import ConfigNotFound, UsageError

_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
_SKIPPED = {"node_modules", "site-packages", "dist-packages", "__pycache__", "venv", "env"}
_SEPARATORS = {"os": os.pathsep, "space": " ", "newline": "\n", ":": ":", ";": ";"}
_PLACEHOLDER = "driver://user:pass@"  # the url of alembic's own templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line says about the project; `cwd` is where everything relative starts."""

    config: Path | None = None
    name: str = "alembic"
    x: tuple[str, ...] = ()
    url: str | None = None
    script_location: str | None = None
    python: Path | None = None
    via: str | None = None
    shadow_url: str | None = None
    cwd: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where the project's migrations live. All paths are absolute.

    `config_file` is the ini file, `pyproject` the file with `[tool.alembic]`; both None with
    `--script-location`. `locations` are the version folders; they need not exist. `ini_url` may
    hold a secret, and so may `url`, the one that was given; env.py finds it in its configuration
    where that has none of its own. `version_table` and `version_table_schema` are extra keys that
    some projects put into the ini for their env.py; they are a hint only. `python_chosen` says that
    a person named the interpreter. `writable` says that a revision file may be written to
    `locations[0]`.
    """

    config_file: Path | None
    pyproject: Path | None
    section: str
    script_location: Path
    locations: tuple[Path, ...]
    recursive: bool
    sourceless: bool
    env_py: Path | None
    ini_url: str | None
    url: str | None
    python: Path
    python_chosen: bool
    root: Path
    cwd: Path
    x: tuple[str, ...]
    via: str | None
    file_template: str | None
    version_table: str | None
    version_table_schema: str | None
    prepend_sys_path: tuple[Path, ...]
    writable: bool

    def __repr__(self) -> str:
        return f"Project(script_location={str(self.script_location)!r})"  # no URL, no secret


@dataclass(frozen=True, slots=True)
class _Options:
    """Options of the ini section, then of `[tool.alembic]`, in alembic's order of precedence."""

    ini: Mapping[str, str]
    toml: Mapping[str, Any]
    ini_here: Path
    toml_here: Path

    def text(self, name: str) -> str | None:
        if name in self.ini:
            return _interpolated(self.ini[name], {**self.ini, "here": self.ini_here.as_posix()})
        value = self.toml.get(name)
        return None if value is None else self._toml_text(value)

    def flag(self, name: str) -> bool:
        value = self.ini.get(name, self.toml.get(name, False))
        return value if isinstance(value, bool) else str(value).strip().lower() == "true"

    def paths(self, name: str, separators: tuple[str, ...], legacy: str) -> list[str]:
        """A list option: split as alembic does; `legacy` is the pattern without a separator."""
        if name not in self.ini:
            value = self.toml.get(name) or []
            entries = [value] if isinstance(value, str) else value
            return [self._toml_text(entry) for entry in entries]
        text = self.text(name) or ""
        named = next((s for s in map(self.text, separators) if s is not None), None)
        if named in _SEPARATORS:
            return [part.strip() for part in text.split(_SEPARATORS[named]) if part.strip()]
        return [part for part in re.split(legacy, text.strip()) if part]

    def _toml_text(self, value: object) -> str:
        return _interpolated(str(value), {"here": self.toml_here.as_posix()})


def find(request: Request) -> Project:
    """The project that `request` names.

    Raises ConfigNotFound (MD001) when there is no usable configuration and UsageError when the
    named interpreter does not exist.
    """
    cwd = _absolute(request.cwd)
    if request.script_location is not None:
        return _project(request, cwd, None, None, _Options({}, {}, cwd, cwd))
    ini, pyproject = _files(request, cwd)
    toml = _read_toml(pyproject) if pyproject else {}
    sections = _read_ini(ini) if ini else {}
    options = _Options(
        sections.get(request.name, {}),
        toml,
        ini.parent if ini else cwd,
        pyproject.parent if pyproject else cwd,
    )
    if ini is None and not toml:
        raise _nothing_found(request, cwd)
    return _project(request, cwd, ini, pyproject if toml else None, options)


def _project(
    request: Request, cwd: Path, ini: Path | None, pyproject: Path | None, options: _Options
) -> Project:
    home = ini or pyproject
    location = request.script_location or options.text("script_location")
    if not location and ini and (ini.parent / "env.py").is_file():
        location = str(ini.parent)  # Flask-Migrate names the folder on its command line
    if not location:
        raise _no_location(request, cwd, home)
    root = _root(home.parent if home else cwd)
    python, chosen = _python(request, [cwd, home.parent if home else cwd], root)
    extra = [
        Path(cwd, entry)
        for entry in options.paths("prepend_sys_path", ("path_separator",), r", *|(?: +)|:")
    ]
    script = _resolved(location, cwd, extra, python)
    if script is None or not script.is_dir():
        raise _missing_location(location, script, cwd, home)
    named = options.paths(
        "version_locations", ("path_separator", "version_path_separator"), r", *|(?: +)"
    )
    places = [_resolved(entry, cwd, extra, python) or Path(cwd, entry) for entry in named]
    locations = tuple(dict.fromkeys(places)) or (script / "versions",)
    env_py = script / "env.py"
    return Project(
        config_file=ini,
        pyproject=pyproject,
        section=request.name,
        script_location=script,
        locations=locations,
        recursive=options.flag("recursive_version_locations"),
        sourceless=options.flag("sourceless"),
        env_py=env_py if env_py.is_file() else None,
        ini_url=_url(options),
        url=request.url,
        python=python,
        python_chosen=chosen,
        root=root,
        cwd=cwd,
        x=request.x,
        via=request.via,
        file_template=options.text("file_template"),
        version_table=options.text("version_table"),
        version_table_schema=options.text("version_table_schema"),
        prepend_sys_path=tuple(extra),
        writable=writable(locations[0], (cwd, root)),
    )


def _files(request: Request, cwd: Path) -> tuple[Path | None, Path | None]:
    """The ini and pyproject.toml to read; a file that was named must exist."""
    named = request.config or (
        Path(os.environ["ALEMBIC_CONFIG"]) if os.environ.get("ALEMBIC_CONFIG") else None
    )
    inis = [cwd / "alembic.ini", cwd / "migrations" / "alembic.ini"]
    toml = cwd / "pyproject.toml"
    if named is not None:
        path = Path(cwd, named)
        if not path.is_file():
            raise _no_such_file(request, path, cwd)
        if path.name != "pyproject.toml":
            return path, toml if toml.is_file() else None
        inis, toml = inis[:1], path
    ini = next((path for path in inis if path.is_file()), None)
    return ini, toml if toml.is_file() else None


def _read_ini(path: Path) -> dict[str, dict[str, str]]:
    """Sections of an ini file, raw. Repeated options are tolerated: the last one counts."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"), source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigNotFound(
            f"{path} cannot be read as a configuration file: {_brief(error)}.",
            "Restore the file (git checkout) or name another one with -c.",
        ) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _read_toml(path: Path) -> Mapping[str, Any]:
    """The `[tool.alembic]` table, {} where there is none. A broken file counts when it is asked."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigNotFound(
            f"{path} cannot be read as TOML: {_brief(error)}.",
            "Mend the file, or name an ini file with -c from a folder without it.",
        ) from None
    table = document.get("tool", {}).get("alembic", {})
    return table if isinstance(table, dict) else {}


def _interpolated(value: str, names: Mapping[str, str], depth: int = 10) -> str:
    """configparser's basic interpolation, except that what it would refuse stays as it is."""

    def replace(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        inner = names.get(found[1].lower())
        if inner is None or depth == 0:
            return found[0]
        return _interpolated(inner, names, depth - 1)

    return re.sub(r"%%|%\(([^)]+)\)s", replace, value)


def _url(options: _Options) -> str | None:
    """The address in the configuration, if it is one (some env.py files read a key `url`)."""
    for name in ("sqlalchemy.url", "url"):
        url = options.text(name)
        if url and "://" in url and not url.startswith(_PLACEHOLDER):
            return url.strip()
    return None


def _resolved(location: str, cwd: Path, extra: Iterable[Path], python: Path) -> Path | None:
    """Absolute folder of a `path` or `package:path:path` location; None: no such package."""
    if Path(location).is_absolute() or ":" not in location:
        return _absolute(cwd / location)
    package, *inner = location.split(":")
    top, *rest = package.split(".")
    for base in _package_folders(top, cwd, extra, python):
        folder = base.joinpath(*rest)
        if folder.is_dir():
            return _absolute(folder.joinpath(*inner))
    return None


def _absolute(path: Path) -> Path:
    """Absolute and without '..', but with symbolic links kept (a venv's python is one)."""
    return Path(os.path.normpath(path.absolute()))


def _package_folders(top: str, cwd: Path, extra: Iterable[Path], python: Path) -> Iterator[Path]:
    """Folders of a top-level package. The interpreter is asked with find_spec: it imports none."""
    for base in (*extra, cwd):
        yield base / top
    ask = (
        "import importlib.util, sys; s = importlib.util.find_spec(sys.argv[1]);"
        "print('\\n'.join((s and s.submodule_search_locations) or []))"
    )
    try:
        answer = subprocess.run(
            [python, "-c", ask, top], cwd=cwd, capture_output=True, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from (Path(line) for line in answer.splitlines() if line)


def _root(start: Path) -> Path:
    """The nearest folder upward that looks like a project's root, else `start`."""
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in _ROOT_MARKS):
            return folder
    return start


def _python(request: Request, starts: Iterable[Path], root: Path) -> tuple[Path, bool]:
    """The project's interpreter: named, active, neighbouring, or our own; and whether named."""
    if request.python is not None:
        path = _absolute(request.cwd / request.python)
        if path.is_dir():
            path = path / "bin" / "python"
        if not os.access(path, os.X_OK):
            raise UsageError(
                f"{path} is not an interpreter that can be run.",
                "Give --python the path of the project's python, for instance .venv/bin/python.",
            )
        return path, True
    places = [Path(os.environ["VIRTUAL_ENV"])] if os.environ.get("VIRTUAL_ENV") else []
    for start in starts:
        for folder in (start, *start.parents):
            places += [folder / name for name in (".venv", "venv", "env")]
            if folder == root or root not in folder.parents:
                break
    for place in places:
        if os.access(place / "bin" / "python", os.X_OK):
            return place / "bin" / "python", False
    return Path(sys.executable), False


def writable(folder: Path, homes: Iterable[Path]) -> bool:
    """A revision file may be written: inside the project, not installed, and permitted."""
    real = folder.resolve()
    if {"site-packages", "dist-packages"} & set(real.parts):
        return False
    existing = next((p for p in (real, *real.parents) if p.exists()), real)
    inside = any(real.is_relative_to(home.resolve()) for home in homes)
    return inside and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


# --- what to say when there is nothing --------------------------------------------------------


def _no_such_file(request: Request, path: Path, cwd: Path) -> ConfigNotFound:
    said = "-c" if request.config else "ALEMBIC_CONFIG"
    what = "is a folder, not a file" if path.is_dir() else "does not exist"
    return ConfigNotFound(f"{path} ({said}) {what}.", _advice(cwd))


def _nothing_found(request: Request, cwd: Path) -> ConfigNotFound:
    return ConfigNotFound(
        f"No alembic configuration in {cwd}: there is no alembic.ini, no migrations/alembic.ini "
        "and no [tool.alembic] in a pyproject.toml.",
        _advice(cwd),
    )


def _no_location(request: Request, cwd: Path, home: Path | None) -> ConfigNotFound:
    return ConfigNotFound(
        f"{home} has no script_location in section [{request.name}].",
        "Add it, choose another section with -n, or give --script-location. " + _advice(cwd, home),
    )


def _missing_location(
    location: str, script: Path | None, cwd: Path, home: Path | None
) -> ConfigNotFound:
    if script is None:
        return ConfigNotFound(
            f"The package of script_location {location!r} was not found by the interpreter.",
            "Name the project's interpreter with --python, or give --script-location.",
        )
    beside = home.parent / location if home and ":" not in location else None
    hint = _advice(cwd, home)
    if beside is not None and beside.is_dir() and home is not None:
        hint = (
            f"A relative path starts at the current folder: run this in {home.parent} "
            f"(where {location} exists), or write %(here)s/{location}."
        )
    return ConfigNotFound(f"The script_location {script} does not exist.", hint)


def _advice(cwd: Path, besides: Path | None = None) -> str:
    """What to do, with the configurations found nearby."""
    nearby = [str(path) for path in _nearby(cwd) if path != besides]
    if not nearby:
        return "Run migdoctor in the project's folder, or use -c or --script-location."
    if len(nearby) == 1:
        return f"There is one at {nearby[0]}: name it with -c."
    return f"Name one of these with -c: {', '.join(nearby[:6])}."


def _nearby(cwd: Path) -> list[Path]:
    """Configurations in the folders above and up to three levels below; the search is bounded."""
    found = [p / "alembic.ini" for p in (*cwd.parents[:4],) if (p / "alembic.ini").is_file()]
    for looked, (folder, inner, files) in enumerate(os.walk(cwd)):
        deep = len(Path(folder).relative_to(cwd).parts) >= 3
        inner[:] = [] if deep else sorted(d for d in inner if d[0] != "." and d not in _SKIPPED)
        found += [Path(folder, "alembic.ini")] if "alembic.ini" in files else []
        if "pyproject.toml" in files:
            pyproject = Path(folder, "pyproject.toml")
            found += [pyproject] if _has_table(pyproject) else []
        if looked > 2000:
            break
    return found


def _has_table(path: Path) -> bool:
    try:
        return "script_location" in _read_toml(path)
    except ConfigNotFound:
        return False


def _brief(error: Exception) -> str:
    """The kind of an error without the file's content, which may hold a password."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno} stands before any [section]"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
