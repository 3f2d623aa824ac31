"""`migdoctor locate` as text: where the schema is, statement by statement, and how we know."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from migdoctor.cures import partly, standing
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.model import Observation
from migdoctor.report import text
from migdoctor.report.position import next_command, position, summary
from migdoctor.result import Report

SIGN = {"applied": "+", "missing": "-", "unknown": "?"}
STYLE = {"applied": "green", "missing": "red", "unknown": "yellow"}
FITS = ("at-head", "behind")


def render(report: Report, width: int | None = None, color: bool = False) -> str:
    """The answer, ending in a newline."""
    out = text.console(width, color)
    if report.error:
        return text.render_error(report.error, width, color)
    _answer(out, report.seen)
    out.print()
    command = next_command(report)
    out.print(Text(f"Next: {command}" if command else "Nothing needs to be done.", style="bold"))
    return text.finished(out)


def _answer(out: Console, seen: Observation) -> None:
    told, place = standing.reading(seen), position(seen)
    recorded = ", ".join(repr(r) if r is None else r for r in place["recorded"]) or "nothing"
    if told is None:
        out.print(Text("The schema could not be located.", style="bold yellow"))
        _line(out, "recorded", recorded)
        _line(out, "why", why_not(seen))
        return
    fits = place["located"] is not None and told.verdict in FITS
    out.print(Text(f"Verdict: {told.verdict}", style="bold green" if fits else "bold red"))
    _line(out, "recorded", recorded)
    _line(out, "located", summary(seen))
    _line(out, "heads", ", ".join(place["heads"]) or "none")
    others = [id for id in place["candidates"] if id not in told.located]
    if others:
        _line(out, "as near", ", ".join(others))
    _line(out, "sure", f"{place['certainty']}: {seen.position.why}")
    _line(out, "timeline", standing.how_known(seen).title)
    _differing(out, seen, told)


def why_not(seen: Observation) -> str:
    """Why the schema was not located."""
    if "position" in seen.missing:
        return seen.missing["position"].why
    try:
        standing.stand(seen)
    except (NotObserved, NotApplicable) as blind:
        return blind.why
    return "see diagnose"


def _differing(out: Console, seen: Observation, told: standing.Standing) -> None:
    for title, ids in (
        ("recorded, never ran", told.past),
        ("skipped in the middle", told.skipped),
        ("shadowed by a twin", told.shadowed),
        ("ran, not recorded", told.behind),
    ):
        if ids:
            _line(out, title, ", ".join(ids))
    for part in told.partial:
        out.print()
        out.print(Text(f"{part.id}: {part.applied} of {part.total} schema changes", style="bold"))
        for sql, state in partly.statements_of(seen, part):
            _statement(out, sql, state)
    touched = [d for d in standing.differences(seen, told.state) if d.key in seen.timeline.touched]
    read = seen.timeline.as_migrated(seen.schema.as_meant)
    created = [
        d for d in touched if d.key in read.silent or read.facts.get(d.key) == told.state.get(d.key)
    ]
    _drift(out, "Drift that touches the history", [d for d in touched if d not in created])
    _drift(out, "As create_all() of the models leaves it, otherwise than the revisions", created)


def _drift(out: Console, title: str, found: Sequence[standing.Difference]) -> None:
    if not found:
        return
    out.print()
    out.print(Text(title, style="bold"))
    for line in standing.lines(found).splitlines():
        out.print(Text(f"  {line}"), soft_wrap=True)


def _statement(out: Console, sql: str, state: str) -> None:
    first, *more = sql.strip().splitlines() or [""]
    style = STYLE[state]
    out.print(Text(f"  {SIGN[state]} {state:8} {first}", style=style), soft_wrap=True)
    for line in more:
        out.print(Text(f"             {line}", style=style), soft_wrap=True)


def _line(out: Console, title: str, value: str) -> None:
    gap = " " * max(1, 11 - len(title))
    out.print(Padding(Text(f"{title}{gap}{value}"), (0, 0, 0, 0)))
