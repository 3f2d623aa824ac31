"""MD006: the role may not do what a migration has to do (incident 15)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when the role lacks rights, with the statements that a DBA would run."""
    identity = seen.identity
    if not identity.lacks:
        return
    many = len(identity.lacks)
    evidence = [Evidence(title="what it lacks", text="\n".join(identity.lacks))]
    if identity.statements:
        evidence.append(Evidence(title="what a DBA would run", text="\n".join(identity.statements)))
    yield Finding(
        code="MD006",
        subject=f"role {identity.role}",
        message=f"role {identity.role} lacks {many} right{'s' * (many > 1)} that a migration "
        "needs; an upgrade stops with 'permission denied' or 'must be owner'",
        help="Connect as the role that owns the tables, or give a DBA these statements.",
        evidence=tuple(evidence),
    )


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
