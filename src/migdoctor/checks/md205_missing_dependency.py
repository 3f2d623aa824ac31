"""MD205: a depends_on that is neither a revision id nor a branch label (incident 31)."""

from collections.abc import Iterator

from migdoctor.cures import files
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
    """Files are loaded with exact ids and labels only; partial ids and `label@head` fail too."""
    history = seen.history
    unread = any(b.id is None for b in history.broken)
    for revision, name in history.missing_dependencies:
        meant = history.meant_by(name.partition("@")[0])
        guess = f" It may mean {meant[0]}: {meant[1]}." if meant else ""
        yield Finding(
            code="MD205",
            subject=revision.id,
            message=f"{revision.id} depends on {name!r}, which is no revision and no branch "
            f"label: every alembic command dies with KeyError: {name!r}",
            help=f"Bring that revision back, or correct depends_on.{guess}",
            certainty="likely" if unread else "certain",
            evidence=(
                Evidence(
                    title=f"{revision.path}:{revision.line}",
                    text=f"depends_on = {revision.depends_on!r}\n"
                    f"branch labels of the history: {', '.join(history.labels) or 'none'}",
                ),
            ),
            path=revision.path,
            line=revision.line,
        )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The lost file, if it was seen; else the id whose file's name was written."""
    history = seen.history
    names = [d for r, d in history.missing_dependencies if r.id == finding.subject]
    if back := files.restored(finding, seen, names):
        return (back,)
    revision = history.by_id[finding.subject]
    meant = {d: history.meant_by(d) for d in names}
    asked = NeedsHuman(
        finding=finding,
        why="what has to run first is known to the author of the revision; write the full id or "
        "the label into depends_on",
    )
    found = {d: m[0] for d, m in meant.items() if m and "name of its file" in m[1]}
    if len(found) < len(names) or not names:
        return (asked,)
    wanted = tuple(found.get(d, d) for d in revision.depends_on)
    edit = files.edited(seen, revision, "depends_on", wanted[0] if len(wanted) == 1 else wanted)
    if edit is None:
        return (asked,)
    whys = " and ".join(f"{found[d]}: '{d}' is the name of its file" for d in names)
    title = f"let {revision.id} depend on {whys}"
    return (Remedy(finding=finding, key="correct", title=title, steps=(edit,)),)


CHECK = Check(
    code="MD205",
    name="missing-dependency",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
)
