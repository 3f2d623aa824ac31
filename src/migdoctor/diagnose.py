"""Checks x Observation -> Diagnosis."""

from collections.abc import Sequence

from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.model import Check, Diagnosis, Finding, Observation, Severity

RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}


def diagnose(seen: Observation, checks: Sequence[Check]) -> Diagnosis:
    """Run every check and keep three outcomes apart: found, could not look, does not apply.

    A check's findings count only when its `find` came to its end: one that goes blind half way
    contributes one *not looked* and no half-truth.
    """
    findings: list[Finding] = []
    not_looked: list[tuple[str, str]] = []
    not_applicable: list[str] = []
    dialect = None if not seen.has("dialect") else seen.dialect
    for check in checks:
        if check.dialects and dialect is not None and dialect not in check.dialects:
            not_applicable.append(check.code)
            continue
        try:
            found = tuple(check.find(seen))
        except NotObserved as blind:
            not_looked.append((check.code, blind.why))
        except NotApplicable:
            not_applicable.append(check.code)
        else:
            findings.extend(found)
    return Diagnosis(
        findings=tuple(findings),
        not_looked=tuple(not_looked),
        not_applicable=tuple(not_applicable),
        severities={check.code: check.severity for check in checks},
    )


def choose(checks: Sequence[Check], select: Sequence[str], ignore: Sequence[str]) -> list[Check]:
    """The checks whose code starts with one of `select` (empty: all) and none of `ignore`."""
    return [
        check
        for check in checks
        if (not select or check.code.startswith(tuple(select)))
        and not (ignore and check.code.startswith(tuple(ignore)))
    ]


def exit_code(diagnosis: Diagnosis, checks: Sequence[Check], fail_on: Severity) -> int:
    """0, 1, 2 or 3, with the precedence of the exit-code table.

    Findings at or above `fail_on` give 1, whatever else went blind. A finding that stands for
    "could not look at all" gives its own status (MD001: 2, MD003: 3) when it is alone.
    """
    stops = {check.code: check.stops for check in checks if check.stops is not None}
    counted = [f for f in diagnosis.findings if RANK[diagnosis.severity(f)] >= RANK[fail_on]]
    if any(f.code not in stops for f in counted):
        return 1
    if stopped := [stops[f.code] for f in diagnosis.findings if f.code in stops]:
        return min(stopped)
    return 3 if diagnosis.not_looked else 0
