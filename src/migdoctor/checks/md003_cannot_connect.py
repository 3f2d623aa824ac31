"""MD003: the database cannot be opened, so nothing in it was looked at."""

from collections.abc import Iterator

from migdoctor.model import Check, Finding, Observation, Severity, leave_to_human


def find(seen: Observation) -> Iterator[Finding]:
    """Repeat what the attempt to connect ran into; its text holds no password."""
    error = seen.connect_error
    if error is not None:
        yield Finding(code="MD003", subject="database", message=error.message, help=error.help)


CHECK = Check(
    code="MD003",
    name="cannot-connect",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "the address, the server or the password has to be put right first; migdoctor creates "
        "no database and no file"
    ),
    stops=3,
)
