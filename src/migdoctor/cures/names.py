"""Ids that alembic refuses, and names that mean two things, in the files that hold them. Pure."""

import re
from collections.abc import Sequence

from migdoctor import rows
from migdoctor.cures import files
from migdoctor.graph import History, Revision
from migdoctor.model import EditFile, Finding, Hazard, Observation, Remedy, Step

SYMBOLS = ("head", "heads", "base")
LONG_REFUSED = "@-+"  # by every alembic since 0.7; ':' only by the newer ones


def wrong(id: str) -> str:
    """Why an id cannot be used, '' where it can."""
    if held := "".join(c for c in files.ILLEGAL if c in id):
        return (
            f"holds {held!r}: every alembic command stops with 'not allowed in revision identifier'"
        )
    if not id.strip() or id in SYMBOLS:
        return "cannot be told from alembic's own word for it"
    return ""


def taken(history: History) -> list[tuple[Revision, str, Revision]]:
    """(revision, its branch label, whose name that is already), in reading order."""
    found, owners = [], dict[str, Revision]()
    for revision in history.by_id.values():
        for label in revision.labels:
            other = history.by_id.get(label) or owners.get(label)
            if other is not None:
                found.append((revision, label, other))
            owners.setdefault(label, revision)
    return found


def misnamed(history: History) -> list[Revision]:
    """The revisions with such an id or label."""
    bad = [r for r in history.by_id.values() if wrong(r.id)]
    return bad + [r for pair in taken(history) for r in (pair[0], pair[2]) if r not in bad]


# --- another id ---------------------------------------------------------------------------------


def renamed(finding: Finding, seen: Observation, revision: Revision) -> Remedy | None:
    """Another id in every file that names it, and in the row of this database.

    A default where no database can have the old one: alembic has always refused it, and the rows
    here do not name it.
    """
    old, new = revision.id, _better(seen, revision)
    edits = files.renaming(seen, old, new)
    if edits is None:
        return None
    tables = [t for t in seen.version_tables if old in t.rows] if seen.has("version_tables") else []
    stamps: list[Step] = [
        rows.restamp(t, tuple(new if row == old else row for row in t.rows))
        for t in tables
        if t.configured
    ]
    if len(stamps) < len(tables):
        return None
    unknown = bool(tables) or not set(old) & set(LONG_REFUSED)
    if unknown:  # other databases may have it as well
        edits = tuple(_rewriting(step) for step in edits)
    also = " and in the version table" if stamps else ""
    return Remedy(
        finding=finding,
        key="rename",
        title=f"call {old!r} {new}, in every file that names it{also}",
        steps=(*edits, *stamps),
        default=not unknown and seen.has("version_tables"),
    )


def waits(seen: Observation, revision: Revision) -> str:
    """What has to be cured before a file gets another id, '' when nothing has.

    Whoever names it must be known, and no other cure may write the old id somewhere else.
    """
    history, new = seen.history, _better(seen, revision)
    named = (*history.missing_parents, *history.missing_dependencies)
    if not history.trustworthy:
        return "a file that cannot be read may name it: cure that first (MD201)"
    if revision.id in history.twins or any(name != new for _, name in named):
        return "twins and parents come first (MD202, MD203, MD205)"
    return ""


def _better(seen: Observation, revision: Revision) -> str:
    """The id that others know the file by, else the old one with '_' for what is refused."""
    for sighting in rows.sightings(seen).values():
        if any(f.id == sighting.id and f.to == revision.path for f in sighting.files):
            return sighting.id
    plain = re.sub(f"[{re.escape(files.ILLEGAL)}]", "_", revision.id.strip())
    known = seen.history.by_id.keys() | seen.history.labels.keys()
    if wrong(plain) or plain in known or not plain.strip("_"):
        return files.fresh(revision.id, revision.path.name, seen.history)
    return plain


def _rewriting(step: EditFile) -> EditFile:
    return EditFile(
        path=step.path, before=step.before, after=step.after, hazards=(Hazard.REWRITES_HISTORY,)
    )


# --- a label less -------------------------------------------------------------------------------


def unlabelled(finding: Finding, seen: Observation, revision: Revision) -> Remedy | None:
    """The file without its labels that are taken.

    A default where the other one is on the same branch: a label reaches the whole of it, and is
    kept where the branch begins.
    """
    history = seen.history
    pairs = [(r, label, other) for r, label, other in taken(history) if r is revision]
    below = [revision.id in history.lineage(other.id) for _, _, other in pairs]
    if len(pairs) == 1 and below[0]:  # it is the elder one, and was only read later
        pairs = [(pairs[0][2], pairs[0][1], revision)]
    kept_by = [other for _, _, other in pairs]
    at, labels = pairs[0][0], {label for _, label, _ in pairs}
    left = tuple(label for label in at.labels if label not in labels)
    edit = files.edited(seen, at, "branch_labels", left[0] if len(left) == 1 else left or None)
    if edit is None:
        return None
    return Remedy(
        finding=finding,
        key="unlabel",
        title=f"take {_quoted(sorted(labels))} from the labels of {at.id}; "
        f"{', '.join(dict.fromkeys(r.id for r in kept_by))} keeps it",
        steps=(edit,),
        default=all(other.id in history.lineage(at.id) for other in kept_by),
    )


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
