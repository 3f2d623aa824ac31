"""MD005: the target takes no writes: a replica, a read-only default, a read-only file (78)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

REPEAT = (
    "SELECT pg_is_in_recovery(), "
    "(SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only')"
)


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when the database itself would refuse the writes of a migration."""
    reason = seen.identity.read_only
    if not reason:
        return
    evidence = [Evidence(title="how it shows", text=reason)]
    if seen.dialect == "postgresql":
        evidence.append(Evidence(title="to ask again", text=REPEAT))
    yield Finding(
        code="MD005",
        subject="target",
        message="this database takes no writes: alembic current works here, every upgrade "
        "fails, and on a replica the recorded revision may lag",
        help="Point the migration at the primary, or give the write permission back.",
        evidence=tuple(evidence),
    )


CHECK = Check(
    code="MD005",
    name="read-only-target",
    severity=Severity.WARNING,
    find=find,
    remedy=leave_to_human(
        "somebody made it read-only on purpose: find the primary, or let the owner of the "
        "server or the file open it for writing"
    ),
)
