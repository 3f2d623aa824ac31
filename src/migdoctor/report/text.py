"""Report -> text for people: verdict, evidence, next command, in that order."""

import io
from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from migdoctor.cures.sessions import is_passing
from migdoctor.errors import DoctorError
from migdoctor.model import Remedy, Severity, Step, hazards_of
from migdoctor.plan import Plan, Rehearsal, Treatment
from migdoctor.report.json import step_text, undo_text, visible
from migdoctor.report.position import next_command, options, summary
from migdoctor.result import Report, Undone

STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "cyan"}


def console(width: int | None = None, color: bool | None = None) -> Console:
    """A console that writes to a string: as wide as asked, coloured only when asked."""
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=bool(color),
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        emoji=False,
        markup=False,
    )


def render(report: Report, width: int | None = None, color: bool = False) -> str:
    """The whole report as text, ending in a newline."""
    out = console(width, color)
    _Page(out, report).write()
    return finished(out)


def render_undo(undone: Undone, width: int | None = None, color: bool = False) -> str:
    """What `undo` did, newest step first."""
    out = console(width, color)
    if undone.refused:
        _error(out, undone.refused)
        return finished(out)
    steps = _count(len(undone.steps), "step")
    out.print(Text(f"Run {undone.run} was taken back: {steps}.", style="bold green"))
    for step in undone.steps:
        for line in (undo_text(step, "sqlite") or "").splitlines():
            _code(out, line, indent=2)
    _next(out, "migdoctor diagnose")
    return finished(out)


def render_error(error: DoctorError, width: int | None = None, color: bool = False) -> str:
    """An error that left nothing to report."""
    out = console(width, color)
    _error(out, error)
    return finished(out)


class _Page:
    """One report on one console."""

    def __init__(self, out: Console, report: Report) -> None:
        self.out = out
        self.report = report
        self.dialect = "sqlite" if not report.seen.has("dialect") else report.seen.dialect
        self.checks = {check.code: check for check in report.checks}

    def write(self) -> None:
        report = self.report
        self._outcome()
        self._verdict()
        self._about()
        brief = bool(report.plan and report.plan.remedies and not report.outcome)
        for treatment in report.treatments:
            self._finding(treatment, brief)
        self._blind()
        if report.plan and report.plan.remedies:
            self._plan(report.plan)
        if report.rehearsal and report.plan and report.plan.remedies:
            self._rehearsal(report.rehearsal)
        if report.error and report.error.code not in report.diagnosis.codes:
            self.out.print()
            _error(self.out, report.error)
        _next(self.out, next_command(report), bool(report.diagnosis.not_looked))

    def _verdict(self) -> None:
        found = self.report.diagnosis.findings
        counts = {s: sum(self.report.diagnosis.severity(f) == s for f in found) for s in Severity}
        named = [_count(n, s.value) for s, n in counts.items() if n and s != Severity.INFO]
        blind = len(self.report.diagnosis.not_looked)
        if named:
            state = "left" if self.report.outcome else "found"
            text, style = f"{' and '.join(named)} {state}.", "bold red"
        elif blind:
            text, style = "Nothing was found, but not everything could be looked at.", "bold yellow"
        elif self.report.outcome:
            text, style = "All checks looked again: nothing is left to cure.", "bold green"
        else:
            looked = len(self.checks) - len(self.report.diagnosis.not_applicable)
            text, style = f"No sickness was found: {looked} checks looked.", "bold green"
        if blind and named:
            text += f" {_count(blind, 'check')} could not look."
        self.out.print(Text(text, style=style))

    def _about(self) -> None:
        seen, target = self.report.seen, self.report.target
        if target is None:
            return
        if target.address:
            server = "" if not seen.has("identity") else f" ({_server(self.report)})"
            _wrapped(self.out, f"database   {target.address.masked}{server}", 0)
        if seen.has("history"):
            heads = ", ".join(seen.history.heads) or "none"
            _wrapped(
                self.out,
                f"revisions  {_count(len(seen.history.revisions), 'file')} in "
                f"{seen.script_location}; head {heads}",
                0,
            )
        if seen.has("version_tables"):
            rows = ", ".join(repr(r) if r is None or r != r.strip() else r for r in seen.rows)
            table = seen.version_table.label if seen.version_table else "no version table"
            _wrapped(self.out, f"recorded   {rows or 'nothing'} in {table}", 0)
        if located := summary(seen):
            _wrapped(self.out, f"located    {located}", 0)
        between = (seen.identity.note,) if seen.has("identity") and seen.identity.note else ()
        for note in (*target.notes, *between):
            _wrapped(self.out, f"note       {note}", 0)

    def _finding(self, treatment: Treatment, brief: bool) -> None:
        finding = treatment.finding
        check = self.checks[finding.code]
        severity = finding.severity or check.severity
        self.out.print()
        line = Text(f"{finding.code} {check.name}", style=STYLE[severity])
        line.append(f"  {severity.value}, {finding.certainty}: {finding.subject}", style="default")
        self.out.print(line, soft_wrap=True)
        _wrapped(self.out, finding.message, 2)
        if finding.path:
            where = f"{finding.path}" + (f":{finding.line}" if finding.line else "")
            _code(self.out, where, indent=2)
        if not brief:
            for evidence in finding.evidence:
                _wrapped(self.out, f"{evidence.title}:", 2)
                for text in evidence.text.splitlines():
                    _code(self.out, f"| {text}", indent=4)
        if finding.help:
            _wrapped(self.out, finding.help, 2)
        self._cures(treatment)

    def _cures(self, treatment: Treatment) -> None:
        for remedy in treatment.remedies:
            chosen = "cure" if remedy is treatment.taken else "choice"
            key = "" if remedy.default else f" (--only {treatment.finding.code}:{remedy.key})"
            _wrapped(self.out, f"{chosen}: {remedy.title}{key}{_hazards(remedy)}", 2)
        if treatment.needs_human:
            _wrapped(self.out, f"needs you: {treatment.needs_human}", 2)

    def _blind(self) -> None:
        reasons: dict[str, list[str]] = {}
        for code, why in self.report.diagnosis.not_looked:
            reasons.setdefault(why, []).append(code)
        if reasons:
            self.out.print()
            self.out.print(Text("Could not look", style="bold yellow"))
            for why, codes in reasons.items():
                _wrapped(self.out, f"{', '.join(codes)}: {why}", 2)

    def _plan(self, plan: Plan) -> None:
        self.out.print()
        done = self.report.outcome is not None
        title = "What was planned" if done else "Plan (nothing is changed yet)"
        self.out.print(Text(f"{title}, id {plan.id}", style="bold"))
        number = 0
        for remedy in plan.remedies:
            _wrapped(self.out, f"{remedy.finding.code} {remedy.title}{_hazards(remedy)}", 2)
            for step in remedy.steps:
                number += 1
                self._step(number, step)
        for title, diff in self._diffs():
            self.out.print()
            self.out.print(Text(f"Difference: {title}", style="bold"))
            _diff(self.out, diff)

    def _step(self, number: int, step: Step) -> None:
        lines = step_text(step, self.dialect).splitlines()
        _code(self.out, f"{number}. {lines[0]}", indent=4)
        for line in lines[1:]:
            _code(self.out, f"   {line}", indent=4)
        if hazards := hazards_of(step):
            _wrapped(self.out, f"hazard: {', '.join(hazards)}", 7)

    def _diffs(self) -> Iterable[tuple[str, str]]:
        diffs = self.report.rehearsal.diffs if self.report.rehearsal else {}
        for part, title in (
            ("version_table", "version table"),
            ("schema", "schema"),
            ("files", "files"),
        ):
            if diffs.get(part):
                yield title, diffs[part]

    def _rehearsal(self, rehearsal: Rehearsal) -> None:
        self.out.print()
        if rehearsal.how == "none":
            text, style = f"Not rehearsed: {rehearsal.why}.", "bold yellow"
        elif rehearsal.passed:
            text, style = f"Rehearsed on a {rehearsal.how.replace('-', ' ')}: passed.", "bold green"
        else:
            text, style = f"Rehearsal failed: {rehearsal.why}", "bold red"
        self.out.print(Text(text, style=style))
        if rehearsal.verdict.cured:
            _wrapped(self.out, f"cured there: {_codes(rehearsal.verdict.cured)}", 2)
        if rehearsal.verdict.remaining:
            _wrapped(self.out, f"still there: {_codes(rehearsal.verdict.remaining)}", 2)
        if rehearsal.cannot_show:
            _wrapped(self.out, rehearsal.cannot_show, 2)

    def _outcome(self) -> None:
        outcome, verdict = self.report.outcome, self.report.verdict
        if outcome is None:
            return
        if outcome.error:
            state = "some steps stay done" if outcome.done else "everything was rolled back"
            self.out.print(Text(f"A step failed and {state}.", style="bold red"))
            _wrapped(self.out, outcome.error, 2)
            for title, steps in (
                ("done", outcome.done),
                ("failed", (outcome.failed,) if outcome.failed else ()),
                ("not reached", outcome.not_reached),
            ):
                for step in steps:
                    _code(self.out, f"{title}: {step_text(step, self.dialect)}", indent=2)
        else:
            text = f"Applied {_count(len(outcome.done), 'step')} as run {outcome.run}."
            self.out.print(Text(text, style="bold green"))
        if verdict:
            for title, pairs in (("cured", verdict.cured), ("new", verdict.new)):
                if pairs:
                    _wrapped(self.out, f"{title}: {_codes(pairs)}", 2)
        if any(not is_passing(step) for step in outcome.done):
            back = f"migdoctor undo {outcome.run}{options(self.report.asked)}"
            _code(self.out, f"to take it back: {back}", indent=2)
        self.out.print()


# --- small things -------------------------------------------------------------------------------


def finished(out: Console) -> str:
    """The text written so far, without trailing blanks."""
    assert isinstance(out.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in out.file.getvalue().splitlines())


def _wrapped(out: Console, text: str, indent: int) -> None:
    out.print(Padding(Text(text), (0, 0, 0, indent)))


def _code(out: Console, text: str, indent: int) -> None:
    """A line to be copied: never wrapped."""
    out.print(Text(" " * indent + text), soft_wrap=True)


def _diff(out: Console, diff: str) -> None:
    for line in diff.split("\n"):
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "default")
        data = line.rstrip("\r").expandtabs().encode("utf-8", "surrogateescape")
        shown = visible(data.decode("utf-8", "backslashreplace"))  # files may hold anything
        out.print(Text(f"  {shown}", style=style), soft_wrap=True)


def _next(out: Console, command: str, blind: bool = False) -> None:
    out.print()
    if command:
        out.print(Text(f"Next: {command}", style="bold"), soft_wrap=True)
    elif blind:
        out.print(Text("Whether anything needs to be done is not known.", style="bold"))
    else:
        out.print(Text("Nothing needs to be done.", style="bold"))


def _error(out: Console, error: DoctorError) -> None:
    name = f"{error.code} " if error.code else ""
    out.print(Text(f"{name}{error.message}", style="bold red"), soft_wrap=True)
    if error.help:
        _wrapped(out, error.help, 0)


def _hazards(remedy: Remedy) -> str:
    return f" [hazards: {', '.join(remedy.hazards)}]" if remedy.hazards else ""


def _codes(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{code} ({subject})" for code, subject in pairs)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _server(report: Report) -> str:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[report.seen.dialect]
    return f"{name} {report.seen.identity.server_version}"
