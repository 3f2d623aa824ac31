"""MD104: a process holds the write lock of the SQLite file (incident 63)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when a writer holds the file at the moment of looking."""
    holder = seen.activity.write_locked
    if holder is None:
        return
    yield Finding(
        code="MD104",
        subject="target",
        message="another process holds the write lock of this file: an upgrade waits a few "
        "seconds and stops with 'database is locked'",
        help="Let that process finish or stop it cleanly, then look again; "
        "never delete a -journal or -wal file.",
        evidence=(Evidence(title="who holds it", text=holder),),
    )


CHECK = Check(
    code="MD104",
    name="sqlite-locked",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "only you know what that process is doing: let it finish or stop it cleanly; its "
        "-journal or -wal file is needed to bring the database back, so leave it there"
    ),
    dialects=("sqlite",),
)
