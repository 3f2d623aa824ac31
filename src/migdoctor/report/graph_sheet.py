"""What every drawing of the revision graph shows: rows, marks, notes and what is broken."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from migdoctor.errors import DoctorError
from migdoctor.graph import History
from migdoctor.lanes import Fold, Row, fold, lay_out
from migdoctor.model import Finding, Observation
from migdoctor.report.json import about, relative, visible
from migdoctor.report.located import why_not
from migdoctor.report.position import position, summary
from migdoctor.result import Report

# Kinds of marks, each drawn in a way of its own: "recorded", "located", "partial", "shape" (head,
# base, merge), "label", "needs" (depends_on), "broken", and the two kinds of states.
Mark = tuple[str, str]  # kind, text
_KIND = {"pending": "state", "ran, not recorded": "wrong", "recorded, never ran": "wrong"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A graph ready to be drawn; every text in it is fit for a terminal.

    `states` says of revisions that are not simply done what they are: a key of `_KIND`. `notes`
    are titled lines about the whole, `broken` are (code, name, place, message).
    """

    history: History
    lines: tuple[Row | Fold, ...]
    marks: Mapping[str, tuple[Mark, ...]]
    states: Mapping[str, str]
    notes: tuple[tuple[str, str], ...]
    broken: tuple[tuple[str, str, str, str], ...]

    @property
    def width(self) -> int:
        """How many lanes there are."""
        used = ((line.lane, *line.passing, *getattr(line, "edges", ())) for line in self.lines)
        return 1 + max((lane for lanes in used for lane in lanes), default=0)

    def text(self, id: str) -> str:
        """The first line of a revision's message."""
        return visible(self.history.by_id[id].message)

    def place(self, id: str) -> str:
        revision = self.history.by_id[id]
        return visible(f"{relative(revision.path)}:{revision.line}")

    def folded(self, line: Fold) -> str:
        """The text of a folded stretch."""
        merges = sum(len(row.parents) > 1 for row in line.rows)
        joined = f", {merges:,} merge{'' if merges == 1 else 's'}" if merges else ""
        state = self.states.get(line.rows[0].id)
        return f"… {len(line.rows):,} revisions{joined}{f' ({state})' if state else ''} …"


def sheet(report: Report, everything: bool) -> Sheet:
    """The drawing of a report; with `everything` no stretch is folded. `history` must be seen."""
    seen = report.seen
    history, place = seen.history, position(seen)
    recorded = {r for r in place["recorded"] if r in history.by_id}
    located = None if place["located"] is None else {*place["located"]}
    findings = [f for f in report.diagnosis.findings if f.code.startswith("MD2")]
    states = _states(seen, located)
    rows = lay_out(history)
    marks = {
        row.id: (
            *[("recorded", "(recorded)")] * (row.id in recorded),
            *[("located", "(located)")] * (row.id in (located or ())),
            *_partial(row.id, place["partial"]),
            *_shape(row.id, history),
            *_lost(row, history),
            *((_KIND[s], f"({s})") for s in [states.get(row.id)] if s),
        )
        for row in rows
    }
    needed = {history.dependency(d) for r in history.by_id.values() for d in r.depends_on}
    sick = {id for f in findings for id in _about(f, history)}
    marked = {id for id, found in marks.items() if any(_tells(*mark) for mark in found)}
    forks = {id for id, children in history.children.items() if len(children) > 1}
    seen_always = frozenset(marked | sick | {id for id in needed if id})
    return Sheet(
        history=history,
        lines=rows if everything else fold(rows, seen_always, forks, states.get),
        marks=marks,
        states=states,
        notes=tuple((title, visible(text)) for title, text in _notes(report, states)),
        broken=tuple(
            (f.code, _name(report, f), visible(_where(f)), visible(f.message)) for f in findings
        ),
    )


def _tells(kind: str, text: str) -> bool:
    """A mark for which a revision is shown though its neighbours are folded."""
    return kind not in ("state", "wrong") and text != "(merge)"


def blind(report: Report) -> tuple[tuple[str, str], ...]:
    """(code, why) for what could not be looked at in the database."""
    seen = report.seen
    if seen.connect_error is not None:
        return (("MD003", seen.connect_error.message),)
    if not seen.has("version_tables"):
        return (("MD003", _why(seen.missing.get("version_tables"))),)
    if position(seen)["located"] is None and not report.asked.quick:
        return (("MD507", why_not(seen)),)
    return ()


def _shape(id: str, history: History) -> list[Mark]:
    revision = history.by_id[id]
    marks = [("shape", "(head)")] if not history.children[id] else []
    marks += [("shape", "(base)")] if not revision.down else []
    marks += [("shape", "(merge)")] if len(revision.down) > 1 else []
    marks += [("label", f"[{visible(label)}]") for label in revision.labels]
    for name in revision.depends_on:
        if history.dependency(name) is None:
            marks.append(("broken", f"(needs {visible(name)}: missing)"))
        else:
            marks.append(("needs", f"(needs {visible(name)})"))
    if id in history.twins:
        marks.append(("broken", f"({len(history.twins[id])} files)"))
    return marks


def _lost(row: Row, history: History) -> list[Mark]:
    """What is the matter with the parents to which no line leads."""
    marks = []
    for parent in row.lost:
        if parent in history.by_id:
            why = ": itself" if parent == row.id else ", above: a cycle"
        else:
            why = ": unreadable" if parent in history.unread else ": missing"
        marks.append(("broken", f"(after {visible(parent)}{why})"))
    return marks


def _about(finding: Finding, history: History) -> tuple[str, ...]:
    """The revisions that a finding names, so that they are not folded away."""
    single = about(finding, history)
    return (single,) if single else tuple(finding.subject.split(" "))


def _states(seen: Observation, located: Set[str] | None) -> dict[str, str]:
    """What is to run and, where the schema is located, in what the record is wrong.

    {} where the record is unknown or names what no file has.
    """
    if not seen.has("version_tables") or any(r not in seen.history.by_id for r in seen.rows):
        return {}
    recorded = seen.history.closure(seen.stamped)
    ran = recorded if located is None else seen.history.closure(located)
    states = {}
    for id in seen.history.by_id:
        if id in recorded and id not in ran:
            states[id] = "recorded, never ran"
        elif id not in recorded:
            states[id] = "ran, not recorded" if id in ran else "pending"
    return states


def _partial(id: str, partial: Mapping[str, Any] | None) -> list[Mark]:
    if partial is None or partial["revision"] != id:
        return []
    return [("partial", f"({partial['applied']} of {partial['total']} changes ran)")]


def _notes(report: Report, states: Mapping[str, str]) -> list[tuple[str, str]]:
    seen, target = report.seen, report.target
    count = len(seen.history.revisions)
    files = f"{count:,} file{'' if count == 1 else 's'} in {seen.script_location}"
    notes = [("revisions", f"{files}; {_heads(seen.history)}")]
    if target and target.address:
        notes.append(("database", target.address.masked))
    if unseen := [why for code, why in blind(report) if code == "MD003"]:
        return [*notes, ("recorded", f"unknown, and so is located: {unseen[0]}")]
    rows = ", ".join(
        f"{row!r} (no file has it)" if row not in seen.history.by_id else str(row)
        for row in seen.rows
    )
    counts = Counter(states.values())
    todo = "".join(f"; {counts[state]:,} {state}" for state in _KIND if counts[state])
    notes.append(("recorded", f"{rows or 'nothing'}{todo}"))
    if report.asked.quick:
        return [*notes, ("located", "not looked for (--quick)")]
    return [*notes, ("located", summary(seen) or f"unknown: {why_not(seen)}")]


def _heads(history: History) -> str:
    heads = history.heads
    more = f" and {len(heads) - 4} more" if len(heads) > 4 else ""
    return f"head{'' if len(heads) == 1 else 's'} {', '.join(heads[:4]) or 'none'}{more}"


def _where(finding: Finding) -> str:
    if finding.path is None:
        return ""
    line = f":{finding.line}" if finding.line else ""
    return f"{relative(finding.path)}{line}"


def _name(report: Report, finding: Finding) -> str:
    return next(check.name for check in report.checks if check.code == finding.code)


def _why(reason: DoctorError | None) -> str:
    return getattr(reason, "why", "") or "it was not looked at"
