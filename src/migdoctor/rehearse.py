"""rehearse: apply + verify on a copy. The plan is the recording of the cure that worked there.

Some cures must come before others can be seen, so diagnose -> cure is repeated on the copy until
nothing more can be cured.
"""

import difflib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from migdoctor.apply import Unrecorded, run_steps
from migdoctor.connect import open_reading, open_writing
from migdoctor.cures.sessions import is_passing
from migdoctor.diagnose import diagnose
from migdoctor.errors import NotObserved
from migdoctor.model import (
    Check,
    Diagnosis,
    EditFile,
    MoveFile,
    Observation,
    Remedy,
    Sql,
    Stamp,
    Step,
)
from migdoctor.observe.look import observe
from migdoctor.plan import Plan, Rehearsal, Treatment, Verdict
from migdoctor.shadow import host
from migdoctor.shadow.copies import copy_of
from migdoctor.target import Target
from migdoctor.verify import broken_promises, judge

ROUNDS = 5
NOT_ON_A_COPY = ("MD0", "MD1")  # who else is at work and what a role may do is not copied
CANNOT_SHOW = {
    "file-copy": "",
    "schema-copy": "A schema copy has no rows: data that violates a new rule does not show.",
    "none": "Nothing was rehearsed.",
}
NO_SESSIONS = "sessions cannot be copied, and each of these steps looks once more before it acts"

Planner = Callable[[Diagnosis, Observation], Plan]


def rehearse(
    plan: Plan, seen: Observation, target: Target, checks: Sequence[Check], again: Planner | None
) -> Rehearsal:
    """Run a plan on a copy of the target, verify it there, and complete it round by round.

    `again` makes the plan of a further round, None: this plan and nothing else. Without a copy
    the plan is one round and counts as passed, and the rehearsal says for ever that none was held.
    """
    if not plan.remedies:
        return _unheld(plan, "there is nothing to rehearse")
    if all(is_passing(step) for step in plan.steps):
        return _unheld(plan, NO_SESSIONS)
    checks = [check for check in checks if not check.code.startswith(NOT_ON_A_COPY)]
    try:
        target.on_progress("rehearsal", 0, 1)
        with _copy(target, seen, plan.steps) as (copy, how):
            return _on_copy(plan, copy, how, checks, again)
    except NotObserved as reason:
        return _unheld(plan, reason.why)
    finally:
        target.on_progress("rehearsal", 0, 0)


def unrehearsed(plan: Plan) -> Rehearsal:
    """The rehearsal that the user asked to do without."""
    return _unheld(plan, "--no-rehearsal was given")


def _on_copy(
    plan: Plan, copy: Target, how: str, checks: Sequence[Check], again: Planner | None
) -> Rehearsal:
    first = observe(copy)
    before = diagnose(first, checks)
    seen, diagnosis, round_plan = first, before, plan
    remedies: list[Remedy] = []
    treatments = list(plan.treatments)
    for _round in range(ROUNDS):
        if failure := _run(round_plan.steps, copy):
            return _result(plan, how, failure, Verdict(), _diffs(first, seen, plan.steps))
        remedies += round_plan.remedies
        seen = observe(copy)
        diagnosis = diagnose(seen, checks)
        if again is None:
            break
        round_plan = again(diagnosis, seen)
        round_plan = _only_new(round_plan, remedies)
        if not round_plan.remedies:
            break
        treatments = _joined(treatments, round_plan)
    whole = replace(plan, remedies=tuple(remedies), treatments=tuple(treatments))
    copied = [r for r in remedies if not r.finding.code.startswith(NOT_ON_A_COPY)]
    verdict = judge(before, diagnosis, copied)
    problems = broken_promises(verdict, copied)
    why = "; ".join(problems) or None
    return _result(whole, how, why, verdict, _diffs(first, seen, whole.steps))


def _only_new(plan: Plan, done: Sequence[Remedy]) -> Plan:
    """Without remedies for what was treated before: a cure that did not hold is not repeated."""
    treated = {(r.finding.code, r.finding.subject) for r in done}
    return replace(
        plan,
        remedies=tuple(
            r for r in plan.remedies if (r.finding.code, r.finding.subject) not in treated
        ),
    )


def _joined(treatments: list[Treatment], later: Plan) -> list[Treatment]:
    """Treatments of all rounds; what a later round takes replaces what waited before."""
    taken = {
        (t.finding.code, t.finding.subject): t
        for t in later.treatments
        if t.taken in later.remedies
    }
    out = [taken.pop((t.finding.code, t.finding.subject), t) for t in treatments]
    return [*out, *taken.values()]


def _run(steps: Sequence[Step], copy: Target) -> str | None:
    """Run steps on the copy; why they failed, None when they did not.

    Steps about sessions are passed over. NotObserved where a step would change more than the copy
    on somebody's server.
    """
    steps = [step for step in steps if not is_passing(step)]
    if copy.shadow and any(isinstance(s, Sql) and host.reaches_beyond(s.run) for s in steps):
        raise NotObserved("copy", "the plan changes roles or settings of the whole server")
    if any(isinstance(step, Sql | Stamp) for step in steps) and copy.address:
        with open_writing(copy.address) as session:
            return run_steps(session, steps, Unrecorded(), None, copy.place).error
    return run_steps(None, steps, Unrecorded(), None, copy.place).error


def _result(
    plan: Plan, how: str, why: str | None, verdict: Verdict, diffs: dict[str, str]
) -> Rehearsal:
    return Rehearsal(
        plan=plan,
        how=how,
        passed=why is None,
        why=why,
        verdict=verdict,
        cannot_show=" ".join(filter(None, (CANNOT_SHOW[how], _not_copied(plan)))),
        diffs=diffs,
    )


def _not_copied(plan: Plan) -> str:
    return f"Not rehearsed: {NO_SESSIONS}." if any(map(is_passing, plan.steps)) else ""


def _unheld(plan: Plan, why: str) -> Rehearsal:
    nothing = {"version_table": "", "schema": "", "files": _file_diff(plan.steps)}
    return Rehearsal(
        plan=plan,
        how="none",
        passed=True,
        why=why,
        verdict=Verdict(),
        cannot_show=CANNOT_SHOW["none"],
        diffs=nothing,
    )


# --- the copy -----------------------------------------------------------------------------------


@contextmanager
def _copy(target: Target, seen: Observation, steps: Sequence[Step]) -> Iterator[tuple[Target, str]]:
    """The target on copies of its database and of its version directories; always removed.

    NotObserved when no copy can be made. Where there is no database the files alone are copied.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="migdoctor-")))
        moved = {}
        for number, location in enumerate(target.project.locations):
            if location.is_dir():
                moved[location] = folder / str(number)
                shutil.copytree(location, moved[location], symlinks=True)
        if target.address is None or not seen.has("version_tables"):
            if any(isinstance(step, Sql | Stamp) for step in steps):
                raise NotObserved("copy", "the version table could not be read")
            yield replace(target, moved=moved), "file-copy"
            return
        session = stack.enter_context(open_reading(target.address))
        copy = copy_of(session, seen.version_tables, target.shadow)
        address, how = stack.enter_context(copy)
        yield target.on(address, moved), how


# --- the diff, in three parts -------------------------------------------------------------------


def _diffs(before: Observation, after: Observation, steps: Sequence[Step]) -> dict[str, str]:
    return {
        "version_table": _unified(_row_lines(before), _row_lines(after), "version table"),
        "schema": _unified(_schema_lines(before), _schema_lines(after), "schema"),
        "files": _file_diff(steps),
    }


def _row_lines(seen: Observation) -> list[str]:
    if not seen.has("version_tables"):
        return []
    return [
        line
        for table in seen.version_tables
        for line in (
            f"{table.label}: version_num {f'varchar({table.width})' if table.width else 'text'}"
            f"{', primary key' if table.primary_key else ', no primary key'}",
            *sorted(f"{table.label}: {row!r}" for row in table.rows),
        )
    ]


def _schema_lines(seen: Observation) -> list[str]:
    lines = [] if not seen.has("schema") else seen.schema.lines()
    if seen.has("tmp_tables"):
        lines += [f"tmp table {t.name}: {t.rows} rows" for t in seen.tmp_tables]
    if seen.has("quarantined"):
        lines += [f"table put aside {q.name}" for q in seen.quarantined]
    return lines


def _file_diff(steps: Sequence[Step]) -> str:
    parts = []
    for step in steps:
        if isinstance(step, EditFile):
            name = str(step.path)
            parts.append(
                _unified(
                    (step.before or "").splitlines(),
                    (step.after or "").splitlines(),
                    "/dev/null" if step.before is None else name,
                    "/dev/null" if step.after is None else name,
                )
            )
        elif isinstance(step, MoveFile):
            parts.append(f"rename from {step.path}\nrename to {step.to}")
    return "\n".join(parts)


def _unified(before: list[str], after: list[str], name: str, to: str | None = None) -> str:
    old, new = (name, to) if to is not None else (f"{name} (now)", f"{name} (after)")
    return "\n".join(difflib.unified_diff(before, after, old, new, lineterm="", n=1))
