"""MD206: the history ends in several places that nothing tells apart (incident 23)."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from migdoctor.cures import branches, files
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.model import (
    Check,
    Cure,
    EditFile,
    Evidence,
    Finding,
    Hazard,
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
        help="Join them with a merge revision, put the one that no database has on top of the "
        "other, or give each a branch label if both are meant to stay.",
        evidence=(Evidence(title="where they end", text="\n".join(lines)), _orders(heads, seen)),
        path=history.by_id[heads[-1]].path,
        line=history.by_id[heads[-1]].line,
    )


def _orders(heads: Sequence[str], seen: Observation) -> Evidence:
    """What the shadow says of both orders, or why it says nothing."""
    try:
        return branches.compare(seen, heads).evidence
    except (NotObserved, NotApplicable) as blind:
        return Evidence(title="both orders, on the shadow", text=f"not compared: {blind.why}")


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """Alembic's own merge revision, unasked only where the branches commute.

    A database may run them in either order: where that makes a difference a person decides, and
    one order for all (the branch that no database has on top) is the other choice.
    """
    heads = rivals(seen)
    merge = _merged(finding, seen, heads)
    begun = {seen.history.closure((h,)) & {*seen.history.rival_bases} for h in heads}
    if len(begun) > 1:
        why = "they come from beginnings that nothing tells apart: settle those first (MD207)"
        return (
            NeedsHuman(finding=finding, why=why),
            *([merge] if isinstance(merge, Remedy) else []),
        )
    try:
        found = branches.compare(seen, heads)
    except (NotObserved, NotApplicable) as blind:
        others = [cure for cure in (_on_top(finding, seen, heads, ()),) if cure]
        if not isinstance(merge, Remedy):
            return (merge, *others)
        why = f"whether the branches commute could not be tried out: {blind.why}"
        return (NeedsHuman(finding=finding, why=why), merge, *others)
    others = [cure for cure in (_on_top(finding, seen, heads, found.fails),) if cure]
    if found.commute or not isinstance(merge, Remedy):
        return (replace(merge, default=True) if isinstance(merge, Remedy) else merge, *others)
    why = f"the branches do not commute, a merge leaves their order open: {found.short}"
    merges = () if found.fails else (merge,)  # a new database may run them in the wrong order
    return (NeedsHuman(finding=finding, why=why), *merges, *others)


def _merged(finding: Finding, seen: Observation, heads: Sequence[str]) -> Cure:
    """The new file that joins the heads; not a default yet."""
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
        default=False,
    )


def _on_top(
    finding: Finding, seen: Observation, heads: Sequence[str], fails: Collection[str]
) -> Remedy | None:
    """The branch that nobody has, with the other one below it; None where any of it was applied.

    `fails` are heads that cannot come last. Never a default: databases that were not looked at may
    have it.
    """
    if len(heads) != 2 or not seen.has("version_tables") or not seen.has("position"):
        return None
    history = seen.history
    rows = [row for table in seen.version_tables for row in table.rows if row]
    applied = history.closure(rows) | seen.position.applied
    applied |= {partial.id for partial in seen.position.partial}
    for head, block in reversed(branches.own(history, heads).items()):
        first = [id for id in block if not set(history.parents[id]) & set(block)]
        if (
            head in fails
            or set(block) & applied
            or len(first) != 1
            or len(history.by_id[first[0]].down) != 1
        ):
            continue
        below = next(h for h in heads if h != head)
        edit = files.edited(seen, history.by_id[first[0]], "down_revision", below)
        if edit is not None:
            title = f"put {first[0]} on top of {below}: this database has nothing of it"
            step = replace(edit, hazards=(Hazard.REWRITES_HISTORY,))  # other databases may have it
            return Remedy(
                finding=finding, key="reparent", title=title, steps=(step,), default=False
            )
    return None


CHECK = Check(
    code="MD206", name="multiple-heads", severity=Severity.ERROR, find=find, remedy=remedy
)
