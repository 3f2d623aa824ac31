"""What can be said of the position, and the one command to run next."""

import shlex
from typing import Any

from migdoctor.cures import partly, standing
from migdoctor.cures.sessions import is_passing
from migdoctor.model import Observation, Remedy
from migdoctor.result import Asked, Report


def position(seen: Observation) -> dict[str, Any]:
    """The `position` object of the JSON contract. `located` None: nobody has proved it."""
    rows = [] if not seen.has("version_tables") else list(seen.rows)
    heads = [] if not seen.has("history") else list(seen.history.heads)
    told = standing.reading(seen)
    known = told is not None and standing.is_located(seen, told)
    return {
        "recorded": rows,
        "heads": heads,
        "located": list(told.located) if told and known else None,
        "certainty": told.certainty if told and known else "unknown",
        "candidates": _candidates(seen, told) if told else [],
        "partial": _partial(seen, told) if told else None,
        "verdict": told.verdict if told else _verdict(seen, rows),
    }


def _candidates(seen: Observation, told: standing.Standing) -> list[str]:
    """The located revisions, those whose state is the same, and those that are as near."""
    found = seen.position
    more = (*found.candidates, *found.rivals) if told.located == found.located else ()
    return list(dict.fromkeys((*told.located, *more)))


def _partial(seen: Observation, told: standing.Standing) -> dict[str, Any] | None:
    """The first revision that ran in part (on several branches there may be more)."""
    if not told.partial:
        return None
    part = told.partial[0]
    return {
        "revision": part.id,
        "applied": part.applied,
        "total": part.total,
        "statements": [
            {"sql": sql, "state": state} for sql, state in partly.statements_of(seen, part)
        ],
    }


def summary(seen: Observation) -> str:
    """Where the schema is, in one line for people; '' where nobody looked."""
    told = standing.reading(seen)
    if told is None:
        return ""
    if not standing.is_located(seen, told):
        return f"nowhere for certain ({seen.position.why})"
    place = ", ".join(told.located) or "before the first revision"
    for part in told.partial:
        place += f", then {part.applied} of {part.total} schema changes of {part.id}"
    return f"{place} ({told.verdict}, {told.certainty})"


def _verdict(seen: Observation, rows: list[str | None]) -> str:
    if rows or not (seen.has("version_tables") and seen.has("schema")):
        return "unknown"
    return "unstamped" if seen.schema.tables else "empty"


def next_command(report: Report) -> str:
    """The one copyable command that a tired reader should run next; '' when all is well."""
    asked = report.asked
    if report.command == "fix" and report.outcome is None and report.plan and report.plan.remedies:
        return _next_after_dry_run(report)
    if report.outcome and report.outcome.error:
        return _doctor("diagnose", asked)
    if waiting := [t.finding.code for t in report.treatments if t.taken and _passes(t.taken)]:
        # First this, alone and fast: nothing else is applied while a migration waits.
        return _doctor(f"fix --quick --only {waiting[0]}", asked)
    if any(t.taken for t in report.treatments):
        return _doctor("fix", asked)
    if choice := next((t for t in report.treatments if t.remedies and not t.taken), None):
        return f"migdoctor explain {choice.finding.code}"
    serious = [f for f in report.diagnosis.findings if f.code != "MD506" and f.code != "MD308"]
    if serious:
        return f"migdoctor explain {serious[0].code}"
    if "MD506" in report.diagnosis.codes:
        target = "head" if len(report.seen.history.heads) == 1 else "heads"
        return f"alembic{_alembic_options(asked)} upgrade {target}"
    return ""


def _passes(remedy: Remedy) -> bool:
    return all(is_passing(step) for step in remedy.steps)


def _next_after_dry_run(report: Report) -> str:
    assert report.plan is not None
    words = ["fix --apply"]
    words += ["--quick"] * report.asked.quick
    words += [f"--only {only}" for only in report.asked.only]
    if report.plan.hazards:
        words.append(f"--allow {','.join(report.plan.hazards)}")
    if report.asked.out:
        words = [f"fix --apply --plan {shlex.quote(str(report.asked.out))}"]
    return _doctor(" ".join(words), report.asked)


def _doctor(command: str, asked: Asked) -> str:
    return f"migdoctor {command}{options(asked)}"


def options(asked: Asked) -> str:
    """The global options as they were given; a URL with a password is left for the reader."""
    request = asked.request
    words: list[str] = []
    if request.config:
        words += ["-c", shlex.quote(str(request.config))]
    if request.name != "alembic":
        words += ["-n", shlex.quote(request.name)]
    for pair in request.x:
        words += ["-x", shlex.quote(pair)]
    if request.script_location:
        words += ["--script-location", shlex.quote(request.script_location)]
    if request.url:
        words += ["--url", "'<the same url>'" if "@" in request.url else shlex.quote(request.url)]
    if request.python:
        words += ["--python", shlex.quote(str(request.python))]
    if request.via:
        words += ["--via", shlex.quote(request.via)]
    return "".join(f" {word}" for word in words)


def _alembic_options(asked: Asked) -> str:
    request = asked.request
    words = f" -c {shlex.quote(str(request.config))}" if request.config else ""
    words += f" -n {shlex.quote(request.name)}" if request.name != "alembic" else ""
    return words + "".join(f" -x {shlex.quote(pair)}" for pair in request.x)
