"""Playbook pages and the table of rules."""

import json
from pathlib import Path

from rich.markdown import Markdown
from rich.text import Text

from migdoctor import __file__ as package_file
from migdoctor.checks import all_checks
from migdoctor.errors import UsageError
from migdoctor.model import Check
from migdoctor.report.text import console, finished


def folder() -> Path:
    """The playbooks: inside an installed package, or beside the sources."""
    inside = Path(package_file).with_name("_playbooks")
    return inside if inside.is_dir() else Path(package_file).parents[2] / "playbooks"


def explain(code: str, width: int | None = None, color: bool = False) -> str:
    """The page of a rule, by code or name. UsageError when there is no such rule."""
    wanted = code.lower()
    check = next((c for c in all_checks() if wanted in (c.code.lower(), c.name)), None)
    path = next(iter(sorted(folder().glob(f"{check.code.lower()}_*.md"))), None) if check else None
    if path is None:
        raise UsageError(f"There is no page for {code}.", "See `migdoctor rules`.")
    page = path.read_text()
    if not color:
        return page  # Markdown is made to be read as it is, and stays copyable
    out = console(width, color)
    out.print(Markdown(page))
    return finished(out)


def rules(width: int | None = None, color: bool = False) -> str:
    """One line per rule: code, severity, name."""
    out = console(width, color)
    for check in all_checks():
        out.print(Text(_line(check)), soft_wrap=True)
    return finished(out)


def rules_json() -> str:
    """The same as JSON: a list of {code, name, severity}."""
    table = [{"code": c.code, "name": c.name, "severity": c.severity.value} for c in all_checks()]
    return json.dumps(table, indent=2) + "\n"


def _line(check: Check) -> str:
    return f"{check.code}  {check.severity.value:<8} {check.name}"
