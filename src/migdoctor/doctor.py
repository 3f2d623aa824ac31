"""The story: diagnose a target; make, rehearse, apply and verify a plan; take a run back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from migdoctor import apply as writing
from migdoctor import diagnose as judging
from migdoctor import journal
from migdoctor import plan as planning
from migdoctor.checks import all_checks
from migdoctor.cures import standing
from migdoctor.errors import ConfigNotFound, Refused, UsageError
from migdoctor.model import Check, Diagnosis, Hazard, Observation
from migdoctor.observe.look import files, nothing, observe
from migdoctor.plan import Outcome, Plan
from migdoctor.rehearse import rehearse, unrehearsed
from migdoctor.result import Asked, Report, Undone
from migdoctor.shadow import host
from migdoctor.target import Target, open_target, project_alone
from migdoctor.verify import judge


def diagnose(asked: Asked) -> Report:
    """Look at everything that was asked for and change nothing.

    Rules about the revision files (MD2) need no more than those: where only they are selected, no
    database is opened and nothing of the project runs.
    """
    checks = _selected(asked)
    try:
        if all(check.code.startswith("MD2") for check in checks):
            alone = project_alone(asked.request)
            return _diagnosed("diagnose", asked, checks, alone, files(alone))
        with _target(asked) as target:
            return _diagnosed("diagnose", asked, checks, target, observe(target))
    except ConfigNotFound as error:
        report = _diagnosed("diagnose", asked, checks, None, nothing(error))
        return replace(report, exit_code=error.exit_code)


def watch(asked: Asked) -> Iterator[Report]:
    """A fresh diagnosis each time the next one is asked for; env.py is asked only once."""
    checks = _selected(asked)
    with _target(asked) as target:
        while True:
            yield _diagnosed("diagnose", asked, checks, target, observe(target))


def locate(asked: Asked) -> Report:
    """Where the live schema stands on the history; everything else is looked at as well.

    Exit status: 0 located, at head or cleanly behind; 1 any other verdict; 3 not located for want
    of a connection, of a shadow or of a usable project.
    """
    report = replace(diagnose(asked), command="locate")
    if report.error is not None:
        return report
    told = standing.reading(report.seen)
    if told is None:
        return replace(report, exit_code=3)
    well = standing.is_located(report.seen, told) and told.verdict in ("at-head", "behind")
    return replace(report, exit_code=0 if well else 1)


def graph(asked: Asked) -> Report:
    """The revision graph with the database's place on it; only rules about files are judged.

    Exit status: 1 when they find something; else 3 when the database, or the place of its schema,
    could not be looked at. `asked.quick`: that place is not looked for.
    """
    checks = tuple(c for c in all_checks() if c.code.startswith("MD2") or c.stops is not None)
    try:
        with _target(asked) as target:
            report = _diagnosed("graph", asked, checks, target, observe(target))
    except ConfigNotFound as error:
        return _diagnosed("graph", asked, checks, None, nothing(error))
    lost = not asked.quick and standing.reading(report.seen) is None
    return replace(report, exit_code=3) if lost and not report.exit_code else report


def fix(asked: Asked) -> Report:
    """Plan and rehearse; with `asked.apply` also do it and look again."""
    checks = all_checks()
    only = planning.parse_only(asked.only, checks)
    allow = _hazards(asked.allow)
    try:
        with _target(asked) as target:
            return _fix(asked, checks, only, allow, target)
    except ConfigNotFound as error:
        return _diagnosed("fix", asked, checks, None, nothing(error))


def undo(asked: Asked, run: str | None) -> Undone:
    """Take an applied run back on the same target; refused runs change nothing."""
    past = journal.read(run)
    with open_target(asked.request, quick=True) as target:
        here = target.address.masked if target.address else "no database"
        if past.target not in (here, "no database"):
            raise UsageError(
                f"Run {past.run} was applied to {past.target}, but this is {here}.",
                "Name the same database as then.",
            )
        try:
            return Undone(run=past.run, steps=writing.undo(past, target), refused=None)
        except Refused as error:
            return Undone(run=past.run, steps=(), refused=error)


@contextmanager
def _target(asked: Asked) -> Iterator[Target]:
    """The target of a command; UsageError where --shadow-url names a server that cannot serve."""
    with open_target(asked.request, quick=asked.quick, on_progress=asked.on_progress) as target:
        if target.shadow:
            host.demand(target.shadow, target.address)
        yield target


def _fix(
    asked: Asked,
    checks: tuple[Check, ...],
    only: Mapping[str, str | None],
    allow: frozenset[Hazard],
    target: Target,
) -> Report:
    before = observe(target)
    report = _diagnosed("fix", asked, checks, target, before)
    judged = allow if asked.apply else None  # a dry run shows hazards, it does not judge them

    def again(diagnosis: Diagnosis, seen: Observation) -> Plan:
        return planning.make_plan(diagnosis, seen, checks, only, judged)

    saved = planning.load(asked.plan) if asked.plan else None
    plan = saved or again(report.diagnosis, before)
    rehearsal = (
        rehearse(plan, before, target, checks, None if saved else again)
        if asked.rehearsal
        else unrehearsed(plan)
    )
    plan = rehearsal.plan
    report = replace(report, plan=plan, rehearsal=rehearsal, treatments=plan.treatments)
    if asked.out:
        planning.save(plan, asked.out)
    if not asked.apply or not plan.remedies:
        return replace(report, exit_code=_exit_of_plan(report))
    try:
        _refuse_unsafe(report, only)
        outcome = writing.apply(rehearsal, target, allow)
    except Refused as error:
        return replace(report, error=error, exit_code=error.exit_code)
    return _verified(report, outcome, target)


def _exit_of_plan(report: Report) -> int:
    """1 when there is a plan (even one for something that is only worth knowing)."""
    return 1 if report.plan and report.plan.remedies else report.exit_code


def _verified(report: Report, outcome: Outcome, target: Target) -> Report:
    """What all checks say in a fresh connection after the plan was applied."""
    seen = observe(target)
    after = judging.diagnose(seen, report.checks)
    remedies = report.plan.remedies if report.plan else ()
    code = outcome.exit_code or judging.exit_code(after, report.checks, report.asked.fail_on)
    only = planning.parse_only(report.asked.only, report.checks)
    return replace(
        report,
        seen=seen,
        diagnosis=after,
        treatments=planning.treat(after, seen, report.checks, only),
        outcome=outcome,
        verdict=judge(report.diagnosis, after, remedies),
        exit_code=code,
    )


def _refuse_unsafe(report: Report, only: Mapping[str, str | None]) -> None:
    """Refused when a migration runs, the target is doubtful or cannot be written to."""
    codes = report.diagnosis.codes
    if only and all(code.startswith("MD1") for code in only):
        return
    if running := sorted(codes & {"MD101", "MD102", "MD104"}):
        raise Refused(
            f"Somebody else is at work on this database ({', '.join(running)}).",
            "Wait until it is done; see `migdoctor diagnose --select MD1`.",
        )
    if "MD004" in codes:
        raise Refused(
            "This may be the wrong database (MD004).", "Name the one you mean with --url."
        )
    if "MD005" in codes and report.plan and any(s.touches[:4] != "file" for s in report.plan.steps):
        raise Refused("This target cannot be written to (MD005).", "Run this where the primary is.")


def _diagnosed(
    command: str,
    asked: Asked,
    checks: tuple[Check, ...],
    target: Target | None,
    seen: Observation,
) -> Report:
    diagnosis = judging.diagnose(seen, checks)
    return Report(
        command=command,
        asked=asked,
        checks=checks,
        target=target,
        seen=seen,
        diagnosis=diagnosis,
        treatments=planning.treat(diagnosis, seen, checks, planning.parse_only(asked.only, checks)),
        exit_code=judging.exit_code(diagnosis, checks, asked.fail_on),
        error=seen.config_error or seen.connect_error,
    )


def _selected(asked: Asked) -> tuple[Check, ...]:
    checks = all_checks()
    for word in (*asked.select, *asked.ignore):
        if not any(check.code.startswith(word) for check in checks):
            raise UsageError(f"There is no rule {word}.", "See `migdoctor rules`.")
    return tuple(judging.choose(checks, asked.select, asked.ignore))


def _hazards(names: Sequence[str]) -> frozenset[Hazard]:
    words = [w for name in names for w in name.split(",") if w]
    unknown = sorted(set(words) - set(Hazard))
    if unknown:
        raise UsageError(
            f"There is no hazard {', '.join(unknown)}.", f"There are: {', '.join(Hazard)}."
        )
    return frozenset(Hazard(w) for w in words)
