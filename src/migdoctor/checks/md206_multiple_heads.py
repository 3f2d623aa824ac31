"""MD206: the history ends in several places that nothing tells apart (incident 23)."""

from collections.abc import Iterator

from migdoctor.errors import NotObserved
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


def rivals(seen: Observation) -> tuple[str, ...]:
    """Heads that `head` cannot choose between: not implied, and of the same labels as another.

    A labelled branch of its own is by design, and so is a head that another revision depends on.
    A head that hangs on a missing parent (MD203) has no known place and is left out, and so is
    stale bytecode beside sources (MD208): it is to be put aside, not to be merged.
    """
    history = seen.history
    lost = {revision.id for revision, _ in history.missing_parents}
    lost |= {r.id for r in history.by_id.values() if history.unread.keys() & {*r.down}}
    heads = [h for h in history.heads if h not in history.implied]
    sources = any(r.path.suffix == ".py" for r in history.revisions)
    lost |= {r.id for r in history.by_id.values() if sources and r.path.suffix == ".pyc"}
    heads = [h for h in heads if not (history.closure((h,)) & lost)]
    sets = [history.labelled(h) for h in heads]
    return tuple(h for h, labels in zip(heads, sets, strict=True) if sets.count(labels) > 1)


def find(seen: Observation) -> Iterator[Finding]:
    """Blind while a file is unread whose identifiers may join the heads."""
    history, heads = seen.history, rivals(seen)
    if not heads:
        return
    known = {r.path for r in history.revisions}
    unread = [b.path.name for b in history.broken if b.path not in known]
    if unread:
        why = f"{', '.join(unread)} cannot be read and may join the heads {', '.join(heads)}"
        raise NotObserved("history", why)
    reached = history.closure(seen.stamped) if seen.has("version_tables") else frozenset()
    lines = []
    for id in heads:
        revision = history.by_id[id]
        state = ", applied here" if id in reached else ""
        after = ", ".join(revision.down) or "nothing"
        lines.append(f"{revision.path}:{revision.line} {id} after {after}{state}")
    yield Finding(
        code="MD206",
        subject="heads",
        message=f"the history has {len(heads)} heads, {', '.join(heads)}: alembic upgrade head "
        "stops with 'Multiple head revisions are present'",
        help="Join them with a merge revision, or put the one that no database has on top of "
        "the other.",
        evidence=(Evidence(title="where they end", text="\n".join(lines)),),
        path=history.by_id[heads[-1]].path,
        line=history.by_id[heads[-1]].line,
    )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Alembic's own merge revision, as a new file."""
    heads = rivals(seen)
    if set(heads) != set(seen.history.unlabelled_heads) or not seen.has("merge_draft"):
        reason = seen.missing.get("merge_draft")
        said = f" ({reason.why})" if reason else ""
        return NeedsHuman(
            finding=finding,
            why=f"write the merge revision by hand: alembic merge {' '.join(heads)}{said}",
        )
    draft = seen.merge_draft
    if not seen.writable_files:
        return NeedsHuman(
            finding=finding,
            why=f"this folder may not be written; put this into {draft.path}:\n{draft.text}",
        )
    return Remedy(
        finding=finding,
        key="merge",
        title=f"join {', '.join(heads)} by the new revision {draft.id}",
        steps=(EditFile(path=draft.path, before=None, after=draft.text),),
    )


CHECK = Check(
    code="MD206", name="multiple-heads", severity=Severity.ERROR, find=find, remedy=remedy
)
