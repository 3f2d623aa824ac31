"""MD210: a revision file was changed after it had run here (incidents 29, 30)."""

from collections.abc import Iterator

from migdoctor.cures import edited
from migdoctor.cures.edited import Edit
from migdoctor.model import (
    Check,
    Cure,
    EditFile,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
)


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each revision; git tells what the file was, and only upgrade() counts.

    Comments, layout and downgrade() never alarm. Where the database has what the file says today
    there is nothing to be alarmed about here; other databases may be older.
    """
    for edit in edited.edits(seen):
        revision = seen.history.by_id[edit.id]
        here, severity = _here(edit)
        yield Finding(
            code="MD210",
            subject=edit.id,
            message=f"{revision.path.name} is not what it was when it was released "
            f"({edit.was.when}), and {edit.id} has run here: {here}",
            help="Never run it again; what it should have made belongs into a new revision.",
            severity=severity,
            certainty="certain" if edit.then_here else "likely",
            evidence=tuple(_evidence(edit)),
            path=revision.path,
            line=revision.line,
        )


def _here(edit: Edit) -> tuple[str, Severity | None]:
    """What this database has of the two, and how bad that is."""
    if edit.facts is None:
        return "which of the two it was cannot be told from the schema", None
    if not edit.facts:
        return "both make the same schema; rows may differ", Severity.INFO
    if edit.then_here:
        return "this database has what the old text makes, a new one will differ from it", None
    if edit.now_here:
        return "this database has what the text of today makes; older ones differ", Severity.INFO
    return "this database has neither of the two", None


def _evidence(edit: Edit) -> Iterator[Evidence]:
    where = f"{edit.was.path.name} in commit {edit.was.commit}"
    if edit.facts:
        yield Evidence(title=f"replayed as {where}, and as it is now", text=edit.difference)
    elif edit.facts is None:
        title = f"changed lines since {where} (the text, not its effect: {edit.why})"
        yield Evidence(title=title, text=edit.difference)
    else:
        yield Evidence(title=f"changed lines since {where}", text=edit.difference)


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """A new revision is written by a person; the old text can be put back into the file."""
    edit = next(e for e in edited.edits(seen) if e.id == finding.subject)
    human = NeedsHuman(
        finding=finding,
        why="write a new revision that brings older databases to what the file says today, and "
        "put the old text back into this one",
    )
    path = seen.history.by_id[edit.id].path
    if not seen.writable_files or edit.was.down != seen.history.by_id[edit.id].down:
        return (human,)
    back = Remedy(
        finding=finding,
        key="as-released",
        title=f"put the text of {edit.was.when} (commit {edit.was.commit}) back into {path.name}",
        steps=(EditFile(path=path, before=edit.now, after=edit.was.text),),
        default=False,
    )
    return (human, back)


CHECK = Check(
    code="MD210",
    name="edited-after-applied",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
)
