"""MD304: a constraint that was added NOT VALID and never validated (incident 46)."""

from collections.abc import Iterator

from migdoctor.cures import origin
from migdoctor.facts import Unvalidated
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Sql,
    quoted,
)


def forgotten(seen: Observation) -> dict[str, Unvalidated]:
    """Those that no pending revision validates and nobody is at work on, by subject."""
    return {
        f"{one.key.schema}.{one.key.table}.{one.key.name}": one
        for one in seen.health.unvalidated
        if not one.busy and not origin.will_change(seen, one.key)
    }


def find(seen: Observation) -> Iterator[Finding]:
    """Speak of each with the number of rows that break it, where they were counted."""
    for subject, one in forgotten(seen).items():
        evidence = [Evidence(title="its definition", text=one.definition)] if one.definition else []
        evidence += origin.evidence(seen, one.key.name)
        if one.shown:
            evidence.append(Evidence(title="rows that break it, some of them", text=one.shown))
        yield Finding(
            code="MD304",
            subject=subject,
            message=f"constraint {one.key.name} on {one.key.schema}.{one.key.table} is NOT VALID: "
            f"new rows are checked, old ones never were; {_counted(one)}",
            help="Which of these rows are right only you know; migdoctor changes none."
            if one.violations
            else "Validating reads the table once; readers and writers go on meanwhile.",
            evidence=tuple(evidence),
            **origin.place(seen, one.key.name),
        )


def _counted(one: Unvalidated) -> str:
    if one.violations is None:
        return "how many break it was not counted"
    if one.violations == 0:
        return "no row breaks it"
    return f"{one.violations} row{'s break' if one.violations > 1 else ' breaks'} it"


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Validate where no row breaks it; SHARE UPDATE EXCLUSIVE lets reads and writes go on."""
    one = forgotten(seen)[finding.subject]
    if one.violations is None:
        why = one.why_not or "run without --quick"
        return NeedsHuman(finding=finding, why=f"the rows could not be counted: {why}")
    if one.violations:
        return NeedsHuman(
            finding=finding,
            why="rows break it: correct them yourself, then run migdoctor fix again",
        )
    table = quoted(one.key.schema, one.key.table)
    return Remedy(
        finding=finding,
        key="validate",
        title=f"validate {one.key.name}",
        steps=(
            Sql(
                run=f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(one.key.name)}",
                undo=(),
                touches=f"table {one.key.schema}.{one.key.table}",
            ),
        ),
    )


CHECK = Check(
    code="MD304",
    name="unvalidated-constraint",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
