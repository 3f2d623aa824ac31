"""MD211: ids that alembic refuses, and names that mean two things (incident 31)."""

from collections.abc import Iterator

from migdoctor.cures.files import ILLEGAL
from migdoctor.graph import Revision
from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

SYMBOLS = ("head", "heads", "base")


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each revision and reason."""
    owners: dict[str, Revision] = {}
    for revision in seen.history.by_id.values():
        wrong = "".join(c for c in ILLEGAL if c in revision.id)
        if wrong:
            yield _finding(
                revision,
                f"revision id {revision.id!r} holds {wrong!r}: every alembic command stops with "
                "'not allowed in revision identifier'",
            )
        elif not revision.id.strip() or revision.id in SYMBOLS:
            yield _finding(
                revision,
                f"revision id {revision.id!r} cannot be told from alembic's own word for it",
            )
        for label in revision.labels:
            other = seen.history.by_id.get(label) or owners.get(label)
            if other is not None:
                yield _finding(
                    revision,
                    f"branch label {label!r} of {revision.id} is already "
                    f"{'the id' if label == other.id else 'a label'} of {other.id}: every "
                    "alembic command stops with 'already used by revision'",
                )
            owners.setdefault(label, revision)


def _finding(revision: Revision, message: str) -> Finding:
    return Finding(
        code="MD211",
        subject=revision.id,
        message=message,
        help="Rename it, in the files that name it as parent too, if no database has it.",
        evidence=(
            Evidence(
                title=f"{revision.path}:{revision.line}",
                text=f"revision = {revision.id!r}\nbranch_labels = {revision.labels!r}",
            ),
        ),
        path=revision.path,
        line=revision.line,
    )


CHECK = Check(
    code="MD211",
    name="illegal-or-ambiguous-id",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "a new name has to be agreed by everybody who has the file; a database whose row holds "
        "the old id must be changed in the same step"
    ),
)
