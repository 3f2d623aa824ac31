"""What a command was asked and what it has to say: the values between `doctor` and `report/`."""

from dataclasses import dataclass
from pathlib import Path

from migdoctor.errors import DoctorError
from migdoctor.model import Check, Diagnosis, Observation, Severity, Step
from migdoctor.plan import Outcome, Plan, Rehearsal, Treatment, Verdict
from migdoctor.project.config import Request
from migdoctor.target import Progress, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for, of any command; see the options of the same names."""

    request: Request
    quick: bool = False
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Severity = Severity.WARNING
    only: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    apply: bool = False
    rehearsal: bool = True
    out: Path | None = None
    plan: Path | None = None
    on_progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a reporter may show. `error` is what ended the command early, if anything did."""

    command: str
    asked: Asked
    checks: tuple[Check, ...]
    seen: Observation
    diagnosis: Diagnosis
    treatments: tuple[Treatment, ...]
    exit_code: int
    target: Target | None = None
    plan: Plan | None = None
    rehearsal: Rehearsal | None = None
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    error: DoctorError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What `undo` did: the steps taken back, newest first, or why it refused."""

    run: str
    steps: tuple[Step, ...]
    refused: DoctorError | None
