"""MD002: env.py cannot be run, so the diagnosis goes on without it, degraded (incident 74)."""

import re
from collections.abc import Iterator
from pathlib import Path

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

# What helps, by the error that env.py died of. Only advice hangs on the wording, never a verdict.
ADVICE = (
    (
        r"ModuleNotFoundError|ImportError",
        "Name the interpreter that has the project's packages: --python PATH.",
    ),
    (
        r"nterpolation",  # incident 75
        "Write each % of the URL as %% in the ini file, or pass the URL by --url.",
    ),
    (
        r"application context|current_app|flask",  # incident 81
        "Let the application's own command load it: --via 'flask db upgrade'.",
    ),
    (
        r"KeyError|ValidationError|environment|NoneType|Could not parse SQLAlchemy URL",
        "Set the variables that the deploy sets (never invented ones), then run again.",
    ),
)
OTHERWISE = "Read its last lines, mend env.py or what it needs, then run again."
ENV_LINE = re.compile(r'File "([^"]*env\.py)", line (\d+)')


def advice(error: str) -> str:
    """One sentence on what to do about this error of env.py."""
    return next((text for pattern, text in ADVICE if re.search(pattern, error)), OTHERWISE)


def place(log: str) -> tuple[Path | None, int | None]:
    """The innermost line of env.py that a Python traceback names, where it names one."""
    lines = ENV_LINE.findall(log)
    return (Path(lines[-1][0]), int(lines[-1][1])) if lines else (None, None)


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when the project's env.py was asked and could not answer."""
    if seen.capture_failure is None:
        return
    error, log = seen.capture_failure
    path, line = place(log)
    yield Finding(
        code="MD002",
        subject="env.py",
        message=f"env.py stops with {first_line(error)}; its options are unknown and "
        "the models were not compared",
        help=advice(error),
        evidence=(Evidence(title="last lines of env.py", text=log.strip() or error),),
        path=path,
        line=line,
    )


def first_line(error: str) -> str:
    """The first line of an error text, without its full stop."""
    lines = error.strip().splitlines()
    return lines[0].rstrip(". ") if lines else "no message"


CHECK = Check(
    code="MD002",
    name="env-py-unusable",
    severity=Severity.WARNING,
    find=find,
    remedy=leave_to_human(
        "env.py is the project's own code: give it the variables and packages it has in the "
        "deploy; stubbed ones could make it connect to some other database"
    ),
)
