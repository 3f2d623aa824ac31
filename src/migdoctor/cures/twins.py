"""Two files with one revision id: which of them keeps it, and the other one issued again. Pure."""

from collections.abc import Sequence

from migdoctor.cures import files, standing
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.graph import History, Revision
from migdoctor.model import Cure, EditFile, Finding, MoveFile, NeedsHuman, Observation, Remedy


def cures(finding: Finding, seen: Observation, id: str) -> tuple[Cure, ...]:
    """The twin that ran here keeps the id; where none ran, the one that git has had longer.

    A copy that does the same as the file that counts is put aside. Where it cannot be told which
    one keeps the id each choice has a key, and none is a default.
    """
    twins = seen.history.twins[id]
    if copies := _copies(finding, seen, twins):
        return (copies,)
    kept, why = keeper(seen, id)
    if seen.history.missing_parents or seen.history.cycles:
        kept, why = None, "parents come first (MD203, MD204): only then is the head known"
    if kept and (cure := _reissued(finding, seen, kept, why)):
        return (cure, *filter(None, (_reissued(finding, seen, t) for t in twins if t is not kept)))
    choices = [cure for twin in twins if (cure := _reissued(finding, seen, twin))]
    names = " and ".join(r.path.name for r in twins)
    if not choices:
        why += "; the files cannot be edited, or the history has no single head"
    return (NeedsHuman(finding=finding, why=f"{why}; renumber one of {names}"), *choices)


def keeper(seen: Observation, id: str) -> tuple[Revision | None, str]:
    """The twin that is to keep the id, and how that is known or why it is not."""
    twins = seen.history.twins[id]
    counts = twins[-1]
    if id not in seen.history.closure(seen.stamped):
        first = _first_in_git(seen, twins)
        if first is not None:
            return first, f"this database has not reached {id}, and git has had it longer"
        return None, f"this database has not reached {id}; others may have"
    try:
        told = standing.proven(seen)
    except (NotApplicable, NotObserved):
        told = None
    if told and id in told.shadowed and len(twins) == 2:
        return twins[0], f"what {counts.path.name} makes is missing in this database"
    whole = told and told.exact and id in seen.position.applied and seen.timeline.units.get(id)
    if told and whole and not standing.foreign(seen, told.state):
        return counts, "it ran in this database"
    return None, f"this database is at or beyond {id}, so one of them has run: look which one"


def _first_in_git(seen: Observation, twins: Sequence[Revision]) -> Revision | None:
    """The only twin that was there in the oldest commit that has the id."""
    past = seen.versions.get(twins[0].id, ()) if seen.has("versions") else ()
    names = [v.path.name for v in past if v.commit == past[0].commit]
    first = [twin for twin in twins if twin.path.name in names]
    return first[0] if len(first) == 1 else None


def _reissued(finding: Finding, seen: Observation, kept: Revision, why: str = "") -> Remedy | None:
    """All twins but one with new ids, one after the other on top of the only head.

    A default where something says `why` it is this one that keeps the id.
    """
    twins = seen.history.twins[kept.id]
    others = [r for r in twins if r is not kept]
    rest = History(revisions=tuple(r for r in seen.history.revisions if r not in others))
    heads = files.tops(rest)
    if len(heads) != 1:
        return None
    steps: list[EditFile] = []
    top, new = heads[0], []
    for other in others:
        id = files.fresh(other.id, other.path.name, seen.history)
        step = files.edits(seen, other, {"revision": id, "down_revision": top})
        if step is None:
            return None
        steps.append(step)
        new.append(f"{other.path.name} becomes {id} after {top}")
        top = id
    return Remedy(
        finding=finding,
        key=f"keep-{kept.path.stem}",
        title=f"{kept.path.name} keeps {kept.id}{f' ({why})' if why else ''}; {', '.join(new)}",
        steps=tuple(steps),
        default=bool(why),
    )


def _copies(finding: Finding, seen: Observation, twins: Sequence[Revision]) -> Remedy | None:
    """The twins put aside, where all of them do the same as the one that counts."""
    *others, counts = twins
    texts = dict(seen.texts) if seen.has("texts") else {}
    now = texts.get(counts.path)
    for other in others:
        text = texts.get(other.path)
        if now is None or text is None or other.down != counts.down or not seen.writable_files:
            return None
        if not files.same_upgrade(text, now):
            return None
    names = ", ".join(r.path.name for r in others)
    return Remedy(
        finding=finding,
        key="aside",
        title=f"rename {names}: it does the same as {counts.path.name}, and nothing is to load it",
        steps=tuple(
            MoveFile(path=r.path, to=r.path.with_name(f"{r.path.name}.migdoctor"), sha256=r.sha)
            for r in others
        ),
    )
