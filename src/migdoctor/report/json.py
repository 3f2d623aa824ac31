"""Report -> one JSON document, exactly the published contract (`schema.json` beside this file)."""

import json
import os
from pathlib import Path
from typing import Any

from migdoctor import __version__
from migdoctor.errors import DoctorError
from migdoctor.graph import History
from migdoctor.model import (
    EditFile,
    Finding,
    MoveFile,
    Remedy,
    Severity,
    Sql,
    Stamp,
    Step,
    hazards_of,
    stamp_statements,
)
from migdoctor.plan import Outcome, Plan, Rehearsal, Treatment
from migdoctor.report.position import next_command, position
from migdoctor.result import Report, Undone


def render(report: Report) -> str:
    """The whole document as text, ending in a newline."""
    return json.dumps(document(report), indent=2) + "\n"


def render_graph(report: Report) -> str:
    """The document of `graph`: every file in the order in which alembic reads them."""
    seen, history = report.seen, report.seen.history
    found = [f for f in report.diagnosis.findings if f.code.startswith("MD2")]
    data = {
        "schema_version": 1,
        "migdoctor": __version__,
        "command": "graph",
        "target": _target(report),
        "revisions": [
            {
                "id": r.id,
                "down": list(r.down),
                "depends_on": list(r.depends_on),
                "labels": list(r.labels),
                "path": relative(r.path),
                "line": r.line,
                "message": r.message,
            }
            for r in history.revisions
        ],
        "heads": list(history.heads),
        "bases": list(history.bases),
        "branch_points": [id for id, children in history.children.items() if len(children) > 1],
        "merges": [id for id, r in history.by_id.items() if len(r.down) > 1],
        "broken": [
            {
                "code": f.code,
                "id": about(f, history),
                "path": relative(f.path) if f.path else None,
                "line": f.line,
                "message": f.message,
            }
            for f in found
        ],
        "recorded": list(seen.rows) if seen.has("version_tables") else None,
        "located": position(seen)["located"],
        "exit_code": report.exit_code,
    }
    if report.error:
        data["error"] = _error(report.error)
    return json.dumps(data, indent=2) + "\n"


def about(finding: Finding, history: History) -> str | None:
    """The revision that a finding of the MD2 family is about, None where it is no single one."""
    if finding.subject in history.by_id:
        return finding.subject
    if finding.path is None or finding.subject in ("heads", "bases", "revision files"):
        return None
    ids = {r.path: r.id for r in history.revisions} | {b.path: b.id for b in history.broken}
    return ids.get(finding.path)


def render_undo(undone: Undone, exit_code: int) -> str:
    """The document of `undo`."""
    data = {
        "schema_version": 1,
        "migdoctor": __version__,
        "command": "undo",
        "run": undone.run,
        "undone": [step_text(step, "sqlite") for step in undone.steps],
        "refused": str(undone.refused) if undone.refused else None,
        "exit_code": exit_code,
    }
    return json.dumps(data, indent=2) + "\n"


def render_error(command: str, error: DoctorError) -> str:
    """The document of a command that ended before there was anything to report."""
    data = {
        "schema_version": 1,
        "migdoctor": __version__,
        "command": command,
        "error": _error(error),
        "exit_code": error.exit_code,
    }
    return json.dumps(data, indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The document as plain data."""
    diagnosis = report.diagnosis
    dialect = "sqlite" if not report.seen.has("dialect") else report.seen.dialect
    data: dict[str, Any] = {
        "schema_version": 1,
        "migdoctor": __version__,
        "command": report.command,
        "target": _target(report),
        "position": position(report.seen),
        "findings": [_finding(t, report) for t in report.treatments],
        "not_looked": [{"code": code, "why": why} for code, why in diagnosis.not_looked],
        "not_applicable": list(diagnosis.not_applicable),
        "summary": {
            severity.value: sum(diagnosis.severity(f) == severity for f in diagnosis.findings)
            for severity in Severity
        },
        "exit_code": report.exit_code,
        "next": next_command(report),
    }
    if report.command == "fix":
        data["plan"] = _plan(report.plan, report.rehearsal, dialect) if report.plan else None
        data["rehearsal"] = _rehearsal(report.rehearsal) if report.rehearsal else None
        data["outcome"] = _outcome(report.outcome, dialect) if report.outcome else None
        data["verdict"] = _verdict(report)
    if report.error:
        data["error"] = _error(report.error)
    return data


def _error(error: DoctorError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "help": error.help}


def _target(report: Report) -> dict[str, Any]:
    seen, target = report.seen, report.target
    table = None if not seen.has("version_tables") else seen.version_table
    known = seen.has("identity")
    return {
        "url": target.address.masked if target and target.address else None,
        "dialect": target.address.dialect if target and target.address else None,
        "server_version": seen.identity.server_version if known else None,
        "script_location": relative(target.project.script_location) if target else None,
        "version_table": table.label if table else None,
    }


def _finding(treatment: Treatment, report: Report) -> dict[str, Any]:
    finding = treatment.finding
    check = next(check for check in report.checks if check.code == finding.code)
    remedies = treatment.remedies
    default = next((r for r in remedies if r.default), None)
    return {
        "code": finding.code,
        "name": check.name,
        "severity": (finding.severity or check.severity).value,
        "certainty": finding.certainty,
        "subject": finding.subject,
        "message": finding.message,
        "help": finding.help,
        "location": _location(finding),
        "evidence": [{"title": e.title, "text": e.text} for e in finding.evidence],
        "remedy": _remedy(default) if default else None,
        "alternatives": [_remedy(r) for r in remedies if r is not default],
        "needs_human": treatment.needs_human or None,
    }


def _location(finding: Finding) -> dict[str, Any] | None:
    return {"path": relative(finding.path), "line": finding.line} if finding.path else None


def _remedy(remedy: Remedy) -> dict[str, Any]:
    return {
        "key": remedy.key,
        "title": remedy.title,
        "hazards": [h.value for h in remedy.hazards],
        "safe": not remedy.hazards,
    }


def _plan(plan: Plan, rehearsal: Rehearsal | None, dialect: str) -> dict[str, Any]:
    return {
        "id": plan.id,
        "fingerprint": plan.fingerprint,
        "steps": [
            _step(step, remedy, dialect) for remedy in plan.remedies for step in remedy.steps
        ],
        "left_to_humans": [
            {"code": t.finding.code, "why": t.needs_human} for t in plan.treatments if not t.taken
        ],
        "diff": dict(rehearsal.diffs) if rehearsal else {},
    }


def _step(step: Step, remedy: Remedy, dialect: str) -> dict[str, Any]:
    return {
        "kind": "sql" if isinstance(step, Sql) else "stamp" if isinstance(step, Stamp) else "file",
        "code": remedy.finding.code,
        "run": step_text(step, dialect),
        "undo": undo_text(step, dialect),
        "hazards": [h.value for h in hazards_of(step)],
        "in_transaction": step.in_transaction if isinstance(step, Sql) else True,
    }


def step_text(step: Step, dialect: str) -> str:
    """A step as it is run, as text a person can run too."""
    match step:
        case Sql():
            return step.run
        case Stamp():
            return ";\n".join(sql for sql, _rows in stamp_statements(step, dialect))
        case EditFile():
            verb = "create" if step.before is None else "remove" if step.after is None else "edit"
            return f"{verb} {relative(step.path)}"
        case MoveFile():
            return f"move {relative(step.path)} to {relative(step.to)}"


def undo_text(step: Step, dialect: str) -> str | None:
    """What takes a step back, as text; None when nothing does."""
    match step:
        case Sql():
            return ";\n".join(step.undo) if step.undo else None
        case Stamp():
            back = Stamp(table=step.table, before=step.after, after=step.before)
            return step_text(back, dialect)
        case EditFile():
            return step_text(EditFile(path=step.path, before=step.after, after=step.before), "")
        case MoveFile():
            return f"move {relative(step.to)} to {relative(step.path)}"


def _rehearsal(rehearsal: Rehearsal) -> dict[str, Any]:
    def codes(pairs: tuple[tuple[str, str], ...]) -> list[str]:
        return sorted({code for code, _subject in pairs})

    return {
        "how": rehearsal.how,
        "passed": rehearsal.passed,
        "why": rehearsal.why,
        "cured": codes(rehearsal.verdict.cured),
        "remaining": codes(rehearsal.verdict.remaining),
        "new": codes(rehearsal.verdict.new),
        "cannot_show": rehearsal.cannot_show,
    }


def _outcome(outcome: Outcome, dialect: str) -> dict[str, Any]:
    return {
        "run": outcome.run,
        "done": [step_text(s, dialect) for s in outcome.done],
        "failed": step_text(outcome.failed, dialect) if outcome.failed else None,
        "not_reached": [step_text(s, dialect) for s in outcome.not_reached],
        "error": outcome.error,
        "undo": f"migdoctor undo {outcome.run}" if outcome.done else "",
    }


def _verdict(report: Report) -> dict[str, Any] | None:
    if report.verdict is None:
        return None
    return {
        "cured": sorted({code for code, _ in report.verdict.cured}),
        "remaining": sorted({code for code, _ in report.verdict.remaining}),
        "new": sorted({code for code, _ in report.verdict.new}),
    }


def relative(path: Path) -> str:
    """A path as seen from the working directory where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def visible(text: str) -> str:
    """Text with everything that a terminal would obey or hide shown by its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return " " if character == "\xa0" else character.encode("unicode_escape").decode()
