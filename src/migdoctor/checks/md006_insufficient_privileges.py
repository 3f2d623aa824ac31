"""MD006: the role may not do what a migration has to do (incident 15)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when the role lacks rights, with the statements that a DBA would run."""
    identity = seen.identity
    needs = seen.needs if seen.has("needs") else ()
    lacks = (*identity.lacks, *(what for what, _ in needs))
    if not lacks:
        return
    many = len(lacks)
    evidence = [Evidence(title="what it lacks", text="\n".join(lacks))]
    if statements := (*identity.statements, *(run for _, run in needs if run)):
        evidence.append(Evidence(title="what a DBA would run", text="\n".join(statements)))
    yield Finding(
        code="MD006",
        subject=f"role {identity.role}",
        message=f"role {identity.role} lacks {many} right{'s' * (many > 1)} that a migration "
        f"needs; an upgrade stops with 'permission denied' or {_or_else(needs)}",
        help="Connect as the role that owns the tables, or give a DBA these statements.",
        evidence=tuple(evidence),
    )


def _or_else(needs: tuple[tuple[str, str], ...]) -> str:
    return "'does not exist'" if needs else "'must be owner'"


CHECK = Check(
    code="MD006",
    name="insufficient-privileges",
    severity=Severity.WARNING,
    find=find,
    remedy=leave_to_human(
        "rights are given by a DBA; do not migrate as a superuser instead, the application "
        "could not read what that creates"
    ),
)
