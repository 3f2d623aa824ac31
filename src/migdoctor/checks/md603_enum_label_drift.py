"""MD603: the labels of an enum differ from those that its revisions make (incident 67)."""

import re
from collections.abc import Iterator

from migdoctor.cures import origin, standing
from migdoctor.facts import FactKey
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
    literal,
    quoted,
)

_LABEL = re.compile(r"'((?:[^']|'')*)'")


def drifted(seen: Observation) -> dict[str, tuple[FactKey, list[str], list[str]]]:
    """(key, labels there, labels of the history) by subject; none without a proven history.

    Labels that some place of the history has are told by the checks of the position (MD501), and
    those that create_all() of the models gives are no drift: the product made them.
    """
    told, created = standing.proven(seen), seen.timeline.created or {}
    return {
        f"{key.schema}.{key.name}": (key, labels(seen.schema.facts[key]), labels(told.state[key]))
        for key, wanted in seen.schema.meant.items()
        if key.kind == "enum"
        and wanted is not None
        and key in told.state
        and seen.schema.facts[key] != created.get(key)
    }


def labels(detail: str) -> list[str]:
    """The labels of an enum's fact."""
    return [label.replace("''", "'") for label in _LABEL.findall(detail)]


def find(seen: Observation) -> Iterator[Finding]:
    """Speak of each enum whose labels, or their order, are others."""
    for subject, (key, live, wanted) in drifted(seen).items():
        missing = [label for label in wanted if label not in live]
        more = [label for label in live if label not in wanted]
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has {', '.join(more)} that no revision makes"] if more else []
        parts = parts or ["has its labels in another order, and sorts by it"]
        yield Finding(
            code="MD603",
            subject=subject,
            message=f"enum {subject} {' and '.join(parts)}"
            + ("; writing one of them fails with 'invalid input value'" if missing else ""),
            help="Labels are only ever added: taking one away, or another order, needs a new type.",
            evidence=(
                Evidence(title="there", text=", ".join(live)),
                Evidence(title="by the history", text=", ".join(wanted)),
                *origin.evidence(seen, key.name),
            ),
            **origin.place(seen, key.name),
        )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Add what is missing, each at its place; nothing is taken away or put in another order."""
    key, live, wanted = drifted(seen)[finding.subject]
    missing = [label for label in wanted if label not in live]
    if not missing:
        return NeedsHuman(
            finding=finding,
            why="labels cannot be taken away or put in another order: write a revision that "
            "records what is there, or one that makes a new type",
        )
    name = quoted(key.schema, key.name)
    steps = tuple(
        Sql(
            run=f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {literal(label)}"
            f"{_where(label, live, wanted)}",
            undo=None,
            touches=f"type {finding.subject}",
            in_transaction=False,
        )
        for label in missing
    )
    extra = [label for label in live if label not in wanted]
    return Remedy(
        finding=finding,
        key="add",
        title=f"add {', '.join(missing)} to {finding.subject}",
        steps=steps,
        remains=f"the history has no label {', '.join(extra)}" if extra else "",
    )


def _where(label: str, live: list[str], wanted: list[str]) -> str:
    """Behind the label before it, which is there by then; before the next one for the first."""
    place = wanted.index(label)
    if place:
        return f" AFTER {literal(wanted[place - 1])}"
    later = next((other for other in wanted[1:] if other in live), None)
    return f" BEFORE {literal(later)}" if later else ""


CHECK = Check(
    code="MD603",
    name="enum-label-drift",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
