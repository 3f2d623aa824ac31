"""One root of errors; every message has two parts: what is so, and what to do."""


class DoctorError(Exception):
    """Something to tell the user in two sentences, with its rule code and its exit status."""

    code: str | None = None
    exit_code = 3

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(f"{message} {help}".strip())
        self.message = message
        self.help = help


class ConfigNotFound(DoctorError):
    """No usable alembic configuration (MD001)."""

    code = "MD001"
    exit_code = 2


class UsageError(DoctorError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class CannotConnect(DoctorError):
    """The database could not be opened (MD003); the message holds no password."""

    code = "MD003"


class NotObserved(DoctorError):
    """A fact was needed that could not be read; `diagnose` turns it into *not looked*."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} could not be looked at: {why}")
        self.name = name
        self.why = why


class NotApplicable(DoctorError):
    """A fact has no meaning here (other engine, no models, not asked for); never blindness."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} does not apply: {why}")
        self.name = name
        self.why = why


class Refused(DoctorError):
    """Nothing was written: stale plan, lock held, hazard not allowed, rehearsal failed."""

    exit_code = 4
