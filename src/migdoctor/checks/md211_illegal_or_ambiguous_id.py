"""MD211: ids that alembic refuses, and names that mean two things (incident 31)."""

from collections.abc import Iterator

from migdoctor.cures import names
from migdoctor.graph import Revision
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
)


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each revision and reason."""
    history = seen.history
    for revision in history.by_id.values():
        if why := names.wrong(revision.id):
            help = "Rename it, in the files that name it as parent too, if no database has it."
            yield _finding(revision, f"revision id {revision.id!r} {why}", help)
    for revision, label, other in names.taken(history):
        yield _finding(
            revision,
            f"branch label {label!r} of {revision.id} is already "
            f"{'the id' if label == other.id else 'a label'} of {other.id}: every "
            "alembic command stops with 'already used by revision'",
            "Keep the label where the branch begins, and give other branches another one.",
        )


def _finding(revision: Revision, message: str, help: str) -> Finding:
    return Finding(
        code="MD211",
        subject=revision.id,
        message=message,
        help=help,
        evidence=(
            Evidence(
                title=f"{revision.path}:{revision.line}",
                text=f"revision = {revision.id!r}\nbranch_labels = {revision.labels!r}",
            ),
        ),
        path=revision.path,
        line=revision.line,
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Another id where no database can have this one; a label goes where the branch has it anyway.

    All that is wrong with one file is cured at once. What a person has to choose among stays a
    choice.
    """
    revision = seen.history.by_id[finding.subject]
    if revision.path not in seen.texts:
        return (NeedsHuman(finding=finding, why="the file has no source that could be edited"),)
    if names.wrong(revision.id):
        if why := names.waits(seen, revision):
            return (NeedsHuman(finding=finding, why=why),)
        cure = names.renamed(finding, seen, revision)
        why = (
            "a database may have this id, and one that is not looked at now would not be known any "
            "more (MD404): rename it only where each of them is at hand"
        )
    else:
        cure = names.unlabelled(finding, seen, revision)
        why = "which of them keeps the name is for their authors to agree on"
    if isinstance(cure, Remedy) and cure.default:
        return (cure,)
    if cure is None:
        why += "; a file that names it cannot be edited here"
    return (NeedsHuman(finding=finding, why=why), *([cure] if cure else []))


CHECK = Check(
    code="MD211",
    name="illegal-or-ambiguous-id",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
