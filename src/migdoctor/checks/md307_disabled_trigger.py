"""MD307: triggers that are switched off, those of foreign keys above all (incident 72)."""

from collections.abc import Iterator

from migdoctor.cures import origin
from migdoctor.facts import DisabledTriggers, FactKey
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


def unwanted(seen: Observation) -> dict[str, DisabledTriggers]:
    """Tables with triggers off that no recorded revision has switched off itself, by subject."""
    return {
        f"{table.schema}.{table.table}": table
        for table in seen.health.triggers
        if table.internal or any(not _by_design(seen, table, name) for name in table.names)
    }


def _by_design(seen: Observation, table: DisabledTriggers, name: str) -> bool:
    if not seen.has("timeline"):
        return False
    wanted = seen.timeline.state(seen.history.closure(seen.stamped) & seen.timeline.units.keys())
    key = FactKey(table.schema, table.table, "trigger", name)
    return wanted.get(key, "").endswith(" DISABLED")


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each table."""
    for subject, table in unwanted(seen).items():
        evidence = []
        if table.foreign_keys:
            lines = [f"{child} {name}: {_rows(count)}" for child, name, count in table.foreign_keys]
            evidence.append(
                Evidence(title="foreign keys that are not enforced", text="\n".join(lines))
            )
        if table.names:
            evidence.append(Evidence(title="triggers of the schema", text="\n".join(table.names)))
            evidence += origin.evidence(seen, table.names[0])
        evidence.append(Evidence(title="to ask again", text=HOW_TO_LOOK))
        number = len(table.names) + len(table.internal)
        what = (
            "foreign keys look valid and nobody enforces them"
            if table.internal
            else "what they keep in order is not kept"
        )
        yield Finding(
            code="MD307",
            subject=subject,
            message=f"{number} trigger{'s' * (number > 1)} of {subject} "
            f"{'are' if number > 1 else 'is'} switched off: {what}",
            help="A restore or a bulk load switches them off and forgets them; make sure that "
            "none is under way.",
            evidence=tuple(evidence),
        )


HOW_TO_LOOK = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgenabled = 'D'"


def _rows(count: int | None) -> str:
    return "rows not compared" if count is None else f"{count} rows without parent"


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Switch them on, by choice: somebody did this, and a load may still be at work."""
    table = unwanted(seen)[finding.subject]
    name = quoted(table.schema, table.table)
    broken = [f"{child} {key}" for child, key, count in table.foreign_keys if count]
    if broken:
        why = f"rows without parent came in meanwhile ({', '.join(broken)}): see MD702 first"
        return NeedsHuman(finding=finding, why=why)
    if table.internal and any(count is None for *_, count in table.foreign_keys):
        why = "the rows behind its foreign keys were not compared; run without --quick"
        return NeedsHuman(finding=finding, why=why)
    if table.internal and not table.all_of_table:
        why = f"ALTER TABLE {name} ENABLE TRIGGER ALL would change others of its triggers as well"
        return NeedsHuman(finding=finding, why=why)
    which = ["ALL"] if table.internal else [quoted(trigger) for trigger in table.names]
    back = [quoted(trigger) for trigger in (*table.names, *table.internal)]
    steps = tuple(
        Sql(
            run=f"ALTER TABLE {name} ENABLE TRIGGER {trigger}",
            undo=tuple(
                f"ALTER TABLE {name} DISABLE TRIGGER {old}"
                for old in (back if trigger == "ALL" else [trigger])
            ),
            touches=f"table {table.schema}.{table.table}",
        )
        for trigger in which
    )
    return Remedy(
        finding=finding,
        key="enable",
        title=f"switch the triggers of {finding.subject} on",
        steps=steps,
        default=False,
    )


CHECK = Check(
    code="MD307",
    name="disabled-trigger",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
