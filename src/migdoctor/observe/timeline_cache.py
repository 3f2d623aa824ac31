"""Timelines on disk, found by the content of everything that makes them what they are.

The key covers the revision files and whatever lies beside env.py, the first-party modules that
they import, the configuration, the project's interpreter and packages, the server, the live
schemas and extensions that a replay starts from, and our own code that reads facts.
"""

import ast
import functools
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from migdoctor.facts import FactKey
from migdoctor.observe import kept
from migdoctor.shadow import host
from migdoctor.shadow.stage import Scene
from migdoctor.target import Target
from migdoctor.timeline import Recorded, Timeline

FORMAT = 2
_HERE = Path(__file__).parent
_OURS = (
    *sorted((_HERE / "schema").glob("*.py")),
    _HERE / "timeline.py",
    *sorted((_HERE.parent / "project" / "agent").glob("*.py")),
    _HERE.parent / "shadow" / "stage.py",
    _HERE.parent / "shadow" / "host.py",
)
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([.\w]+)|import_module\(", re.MULTILINE)
_FOREIGN = ("site-packages", "dist-packages")


# --- what a timeline depends on -----------------------------------------------------------------


def sources(target: Target, path: list[str]) -> dict[str, bytes]:
    """The content of the project's files that a replay may depend on, by a name that lasts.

    `path` is sys.path of the project's interpreter. Imports are followed as far as they lead to
    files below the project or below entries of `path` that hold no installed packages.
    """
    files = {f"version {n}/{p.relative_to(place)}": p
             for n, place in enumerate(target.locations) for p in _files(place)}  # fmt: skip
    home = target.project.script_location
    places = target.project.locations
    beside = (p for p in _files(home) if not any(p.is_relative_to(place) for place in places))
    files |= {f"script/{p.relative_to(home)}": p for p in beside}
    roots = _roots(target, path)
    found = {name: content for name, p in files.items() if (content := _content(p)) is not None}
    there = functools.cache(lambda top: _is_there(top, roots))
    waiting = [(files[name], content) for name, content in found.items() if name.endswith(".py")]
    seen = {p for p, _ in waiting}
    while waiting:
        importer, content = waiting.pop()
        for name, module in _imported(importer, content, roots, there):
            if module not in seen and (text := _content(module)) is not None:
                seen.add(module)
                found[f"module {name}"] = text
                waiting.append((module, text))
    return found


def _files(place: Path) -> Iterator[Path]:
    """Every file below a folder that may matter: not bytecode beside its source, not templates."""
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(f for f in folders if f != "__pycache__" and not f.startswith("."))
        for name in sorted(names):
            if not name.endswith((".mako", ".pyc", ".md", ".swp", "~")) or (
                name.endswith(".pyc") and not Path(folder, name[:-1]).exists()
            ):
                yield Path(folder, name)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _roots(target: Target, path: list[str]) -> list[Path]:
    """Folders from which the project imports its own modules."""
    project = target.project
    entries = [*project.prepend_sys_path, project.cwd, *map(Path, path), project.root]
    return [
        entry
        for entry in dict.fromkeys(entries)
        if entry.is_dir()
        and not any(part in _FOREIGN for part in entry.parts)
        and not (entry / "encodings").is_dir()  # the standard library
        and entry.name != "lib-dynload"
    ]


def _imported(
    importer: Path, content: bytes, roots: list[Path], there: Callable[[str], bool]
) -> Iterator[tuple[str, Path]]:
    """(name, file) of the first-party modules that a file imports."""
    tops = {m[1].split(b".")[0].decode() for m in _IMPORT.finditer(content) if m[1]}
    dynamic = b"import_module(" in content
    if not dynamic and not any(not top or there(top) for top in tops):
        return  # most revisions import nothing of their own; parsing them all would cost
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for name, places in _named(node, importer, roots):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                for place in places:
                    module = _module(place.joinpath(*parts[:length]))
                    if module:
                        yield f"{'.'.join(parts[:length])} {module.name}", module
                        break


def _named(node: ast.AST, importer: Path, roots: list[Path]) -> Iterator[tuple[str, list[Path]]]:
    """(dotted name, where to look for it) of what one statement imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, roots
    elif isinstance(node, ast.ImportFrom):
        places = [importer.parents[node.level - 1]] if node.level else roots
        for alias in node.names:
            yield ".".join(p for p in (node.module, alias.name) if p), places
    elif isinstance(node, ast.Call) and "import_module" in ast.dump(node.func):
        for argument in node.args[:1]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value.lstrip("."), [*roots, importer.parent]


def _is_there(top: str, roots: list[Path]) -> bool:
    return any((root / top).is_dir() or (root / f"{top}.py").is_file() for root in roots)


def _module(stem: Path) -> Path | None:
    for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def key(
    target: Target,
    where: Mapping[str, Any],
    found: Mapping[str, bytes],
    scene: Scene | None,
    order: tuple[str, ...] | None = None,
) -> str:
    """The name of the timeline that these make; `order` as in `timeline.once`."""
    digest = hashlib.sha256()

    def add(name: str, content: bytes) -> None:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)

    for name, content in sorted(found.items()):
        add(name, content)
    for path in _OURS:
        add(path.name, path.read_bytes())
    project = target.project
    for file in filter(None, (project.config_file, project.pyproject)):
        # An address changes from run to run; where the replay goes is our own choice.
        lines = (_content(file) or b"").splitlines()
        add(file.name, b"\n".join(line for line in lines if b"://" not in line))
    words = [
        FORMAT,
        project.section,
        project.x,
        project.via,
        target.version_table,
        target.has_metadata,
        where["python"],
        where["packages"],
        _server(target, where, scene),
        asdict(scene) if scene else None,
        _settings(found.values()),
    ]
    if order is not None:
        words.append(order)
    add("settings", json.dumps(words).encode())
    return digest.hexdigest()


def _server(target: Target, where: Mapping[str, Any], scene: Scene | None) -> list[str]:
    """What tells one version of the engine from another, without starting it."""
    if scene is None:
        return [where["sqlite"], sqlite3.sqlite_version]
    return host.traces(target.shadow)


def _settings(contents: Any) -> dict[str, str]:
    """Environment variables that the files name; addresses change from run to run, and are left."""
    text = b"\n".join(contents)
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if "://" not in value and re.search(rb"[\"']%s[\"']" % re.escape(name.encode()), text)
    }


# --- on disk ------------------------------------------------------------------------------------


def load(name: str) -> Timeline | None:
    """The timeline of that key, None where there is none that can be trusted."""
    try:
        values = kept.load(f"{name}.timeline")
        return _unpacked(values) if values else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def save(name: str, timeline: Timeline) -> None:
    """Keep a timeline; a cache that cannot be written is no harm."""
    kept.save(f"{name}.timeline", _packed(timeline))


def _packed(timeline: Timeline) -> dict[str, Any]:
    return {
        "dialect": timeline.dialect,
        "rung": timeline.rung,
        "base": _rows(timeline.base),
        "stands": sorted(timeline.stands),
        "created": None if timeline.created is None else _rows(timeline.created),
        "failed": timeline.failed,
        "incomparable": dict(timeline.incomparable),
        "revisions": [
            [id, [[s.sql, _rows(s.added), _rows(s.removed), s.data, s.batch, s.autocommit]
                  for s in statements]]
            for id, statements in timeline.revisions.items()
        ],
    }  # fmt: skip


def _unpacked(values: Mapping[str, Any]) -> Timeline:
    return Timeline(
        dialect=values["dialect"],
        rung=values["rung"],
        base=_facts(values["base"]),
        stands=frozenset(values["stands"]),
        created=None if values["created"] is None else _facts(values["created"]),
        failed=tuple(values["failed"]) if values["failed"] else None,
        incomparable=values["incomparable"],
        revisions={
            id: tuple(
                Recorded(
                    sql=sql, added=_facts(added), removed=_facts(removed), data=data, batch=batch,
                    autocommit=autocommit,
                )
                for sql, added, removed, data, batch, autocommit in statements
            )
            for id, statements in values["revisions"]
        },
    )  # fmt: skip


def _rows(facts: Mapping[FactKey, str]) -> list[list[str]]:
    return [[*key, detail] for key, detail in facts.items()]


def _facts(rows: list[list[str]]) -> dict[FactKey, str]:
    return {FactKey(schema, table, kind, name): d for schema, table, kind, name, d in rows}
