"""Diagnosis -> Plan: which cures, in which order; and a plan as a file that can be applied later.

Order of treatment is order of codes. In one round one thing is touched once: a later remedy for
the same thing waits for the next round, because all remedies of a round were made for the same
observation.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migdoctor.errors import NotApplicable, NotObserved, UsageError
from migdoctor.model import (
    Check,
    Cure,
    Diagnosis,
    EditFile,
    Finding,
    Guard,
    Hazard,
    MoveFile,
    NeedsHuman,
    Observation,
    Remedy,
    Sql,
    Stamp,
    Step,
)

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """One finding with all its cures, the default first, and the one that is taken, if any.

    `why_not` says why none is taken although there are some.
    """

    finding: Finding
    cures: tuple[Cure, ...]
    taken: Remedy | None
    why_not: str = ""

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        return tuple(c for c in self.cures if isinstance(c, Remedy))

    @property
    def needs_human(self) -> str:
        """Why a person has to act; '' when a cure is taken."""
        if self.taken:
            return ""
        why = next((c.why for c in self.cures if isinstance(c, NeedsHuman)), "")
        return self.why_not or why


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done. `rounds` are remedies in order; later rounds came out of rehearsal.

    `durable` is what the plan was made for (`Observation.durable`); a target that differs from it
    is refused.
    """

    treatments: tuple[Treatment, ...]
    remedies: tuple[Remedy, ...]
    not_looked: tuple[tuple[str, str], ...]
    durable: Mapping[str, str]

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for remedy in self.remedies for step in remedy.steps)

    @property
    def hazards(self) -> tuple[Hazard, ...]:
        return tuple(sorted({h for remedy in self.remedies for h in remedy.hazards}))

    @property
    def fingerprint(self) -> str:
        return _digest(self.durable)

    @property
    def id(self) -> str:
        """Short hash of the steps and of what they were made for."""
        return _digest([dict(self.durable), [step_to_json(s) for s in self.steps]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What all checks say afterwards, as (code, subject): gone, still there, not there before.

    `new` leaves out what a check could not see before (it was blind, or did not apply) and what
    is only worth knowing: those were unmasked, not caused.
    """

    cured: tuple[tuple[str, str], ...] = ()
    remaining: tuple[tuple[str, str], ...] = ()
    new: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A plan and what became of it on a copy. Only `rehearse` makes one, only it can be applied.

    `how` is "file-copy", "schema-copy" or "none". `why` says why it was not passed or not held,
    `cannot_show` what this kind of copy cannot show. `diffs` are unified diffs by part.
    """

    plan: Plan
    how: str
    passed: bool
    why: str | None
    verdict: Verdict
    cannot_show: str
    diffs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a plan on the live target. Always all four: done, failed, not reached, error.

    After a failure `done` holds what could not be rolled back (as a rule nothing).
    """

    run: str | None
    done: tuple[Step, ...]
    failed: Step | None
    not_reached: tuple[Step, ...]
    error: str | None

    @property
    def exit_code(self) -> int:
        """0, 5 (failed and rolled back) or 6 (failed, some steps stay done)."""
        if self.error is None:
            return 0
        return 6 if self.done else 5


def parse_only(only: Sequence[str], checks: Sequence[Check]) -> dict[str, str | None]:
    """`CODE` and `CODE:key` as {code or prefix: key or None}; UsageError for an unknown code."""
    chosen: dict[str, str | None] = {}
    for word in (w for words in only for w in words.split(",") if w):
        code, _, key = word.partition(":")
        if not any(check.code.startswith(code.upper()) for check in checks):
            raise UsageError(f"There is no rule {code}.", "See `migdoctor rules`.")
        chosen[code.upper()] = key or None
    return chosen


def treat(
    diagnosis: Diagnosis,
    seen: Observation,
    checks: Sequence[Check],
    only: Mapping[str, str | None],
    allow: frozenset[Hazard] | None = None,
) -> tuple[Treatment, ...]:
    """Every finding with its cures and the choice among them.

    `only` as from `parse_only` ({}: everything). `allow` None: hazards are shown, not judged
    (dry run); otherwise a default cure with a hazard outside `allow` is not taken.
    """
    by_code = {check.code: check for check in checks}
    cures = [_cures(by_code[finding.code], finding, seen) for finding in diagnosis.findings]
    told = list(zip(diagnosis.findings, cures, strict=True))
    _refuse_unknown_keys(told, only)
    return tuple(_choose(finding, choice, only, allow) for finding, choice in told)


def make_plan(
    diagnosis: Diagnosis,
    seen: Observation,
    checks: Sequence[Check],
    only: Mapping[str, str | None],
    allow: frozenset[Hazard] | None = None,
) -> Plan:
    """The plan of one round, see `treat`; remedies that touch one thing twice wait."""
    treatments = treat(diagnosis, seen, checks, only, allow)
    taken: list[Remedy] = []
    touched: set[str] = set()
    for treatment in treatments:
        remedy = treatment.taken
        if remedy is not None and not touched & remedy.touches:
            taken.append(remedy)
            touched |= remedy.touches
    return Plan(
        treatments=treatments,
        remedies=tuple(taken),
        not_looked=diagnosis.not_looked,
        durable=seen.durable(),
    )


def _cures(check: Check, finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    try:
        cures = check.remedy(finding, seen)
    except (NotObserved, NotApplicable) as blind:
        return (NeedsHuman(finding=finding, why=f"no cure can be worked out: {blind.why}"),)
    return cures if isinstance(cures, tuple) else (cures,)


def _refuse_unknown_keys(
    told: Sequence[tuple[Finding, tuple[Cure, ...]]], only: Mapping[str, str | None]
) -> None:
    """UsageError for a key that none of the findings of its code has (some may: pids are keys)."""
    for code, key in only.items():
        remedies = [
            r
            for f, cures in told
            if f.code.startswith(code)
            for r in cures
            if isinstance(r, Remedy)
        ]
        if key is not None and remedies and all(r.key != key for r in remedies):
            keys = ", ".join(dict.fromkeys(f"{r.finding.code}:{r.key}" for r in remedies))
            raise UsageError(f"{code} has no cure '{key}' here.", f"It has: {keys}.")


def _choose(
    finding: Finding,
    cures: tuple[Cure, ...],
    only: Mapping[str, str | None],
    allow: frozenset[Hazard] | None,
) -> Treatment:
    remedies = [c for c in cures if isinstance(c, Remedy)]
    matches = [(code, key) for code, key in only.items() if finding.code.startswith(code)]
    if only and not matches:
        return Treatment(finding=finding, cures=cures, taken=None, why_not="not selected by --only")
    key = next((key for _code, key in matches if key), None)
    if key is not None:
        named = next((r for r in remedies if r.key == key), None)
        why = "another one was chosen by --only" if remedies and named is None else ""
        return Treatment(finding=finding, cures=cures, taken=named, why_not=why)
    default = next((r for r in remedies if r.default), None)
    if default is None:
        reasons = [c.why for c in cures if isinstance(c, NeedsHuman)][:1]
        if remedies:
            choices = " or ".join(f"--only {finding.code}:{r.key}" for r in remedies)
            reasons.append(f"choose: {choices}")
        return Treatment(finding=finding, cures=cures, taken=None, why_not="; ".join(reasons))
    lacking = [h for h in default.hazards if allow is not None and h not in allow]
    if lacking:
        names = ",".join(lacking)
        return Treatment(finding=finding, cures=cures, taken=None, why_not=f"needs --allow {names}")
    return Treatment(finding=finding, cures=cures, taken=default)


# --- a plan as JSON -----------------------------------------------------------------------------


def step_to_json(step: Step) -> dict[str, Any]:
    """A step as plain data, with its kind; `step_from_json` is its inverse."""
    kind = {Sql: "sql", Stamp: "stamp", EditFile: "file", MoveFile: "move"}[type(step)]
    data = dataclasses.asdict(step)
    return {"kind": kind} | {k: str(v) if isinstance(v, Path) else v for k, v in data.items()}


def step_from_json(data: Mapping[str, Any]) -> Step:
    """Inverse of `step_to_json`; KeyError or TypeError when the data is not a step."""
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"
    }
    if "hazards" in fields:
        fields["hazards"] = tuple(Hazard(h) for h in fields["hazards"])
    for name in ("path", "to"):
        if name in fields:
            fields[name] = Path(fields[name])
    match data["kind"]:
        case "sql":
            if fields.get("guard"):
                fields["guard"] = Guard(**fields["guard"])
            return Sql(**fields)
        case "stamp":
            return Stamp(**fields)
        case "file":
            return EditFile(**fields)
        case "move":
            return MoveFile(**fields)
        case other:
            raise KeyError(other)


def save(plan: Plan, path: Path) -> None:
    """Write a plan so that `load` gives the same steps for the same target."""
    remedies = [
        {
            "code": r.finding.code,
            "subject": r.finding.subject,
            "message": r.finding.message,
            "key": r.key,
            "title": r.title,
            "remains": r.remains,
            "steps": [step_to_json(s) for s in r.steps],
        }
        for r in plan.remedies
    ]
    document = {
        "migdoctor_plan": FORMAT,
        "id": plan.id,
        "durable": dict(plan.durable),
        "remedies": remedies,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def load(path: Path) -> Plan:
    """A plan that `save` wrote. UsageError when the file is not one or was edited since."""
    try:
        document = json.loads(path.read_text())
        if document["migdoctor_plan"] != FORMAT:
            raise KeyError("migdoctor_plan")
        remedies = tuple(_remedy_from_json(r) for r in document["remedies"])
        plan = Plan(
            treatments=tuple(Treatment(finding=r.finding, cures=(r,), taken=r) for r in remedies),
            remedies=remedies,
            not_looked=(),
            durable=document["durable"],
        )
    except OSError as error:
        raise UsageError(
            f"The plan {path} cannot be read: {error.strerror}.", "Check the path."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a plan of this version of migdoctor.",
            "Make one with `migdoctor fix --out plan.json`.",
        ) from error
    if plan.id != document["id"]:
        raise UsageError(
            f"The plan {path} was changed after it was written.",
            "Make a new one with `migdoctor fix --out plan.json`.",
        )
    return plan


def _remedy_from_json(data: Mapping[str, Any]) -> Remedy:
    finding = Finding(code=data["code"], subject=data["subject"], message=data["message"])
    return Remedy(
        finding=finding,
        key=data["key"],
        title=data["title"],
        remains=data["remains"],
        steps=tuple(step_from_json(s) for s in data["steps"]),
    )


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
