"""MD001: no usable alembic configuration, so nothing can be looked at (incident 80)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

LOOKED_AT = """-c FILE or ALEMBIC_CONFIG
alembic.ini, migrations/alembic.ini
[tool.alembic] in pyproject.toml
(--script-location DIR needs none of them)"""


def find(seen: Observation) -> Iterator[Finding]:
    """Repeat what the search for a configuration ran into."""
    error = seen.config_error
    if error is not None:
        yield Finding(
            code="MD001",
            subject="alembic configuration",
            message=error.message,
            help=error.help,
            evidence=(
                Evidence(
                    title="where migdoctor looks, in this order",
                    text=LOOKED_AT,
                ),
            ),
        )


CHECK = Check(
    code="MD001",
    name="config-not-found",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "only you know where the project is: run this in the project's folder, or name it "
        "with -c FILE or --script-location DIR"
    ),
    stops=2,
)
