"""MD203: a down_revision names a revision that no file has (incident 24)."""

from collections.abc import Iterator, Mapping, Sequence

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
    """One finding for each missing parent of each file.

    A parent that is a file which cannot be read is not missing (MD201). Where the id of an unread
    file is unknown, that file may be the parent, and the finding says so.
    """
    history = seen.history
    for revision, parent in history.missing_parents:
        meant = history.meant_by(parent)
        guess = f" It may mean {meant[0]}: {meant[1]}." if meant else ""
        unread = [b.path.name for b in history.broken if b.id is None]
        doubt = f" It may be the unread {', '.join(unread)}." if unread else ""
        yield Finding(
            code="MD203",
            subject=revision.id,
            message=f"{revision.id} follows {parent!r}, which no revision file has: every "
            f"alembic command dies with KeyError: {parent!r}",
            help=f"Bring the file of {parent!r} back, or correct down_revision.{guess}{doubt}",
            certainty="likely" if unread else "certain",
            evidence=(
                Evidence(
                    title=f"{revision.path}:{revision.line}",
                    text=f"revision = {revision.id!r}\ndown_revision = {_shown(revision.down)}",
                ),
            ),
            path=revision.path,
            line=revision.line,
        )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The lost file, if it was seen; else the id that was meant, if it is the name of its file.

    Which revision was meant by anything else decides what every database runs: that is chosen by a
    person, and so is a file that does nothing in the place of the lost one.
    """
    history = seen.history
    missing = [p for r, p in history.missing_parents if r.id == finding.subject]
    if not missing:
        return (NeedsHuman(finding=finding, why="the parent is there by now"),)
    if back := files.restored(finding, seen, missing):
        return (back,)
    near = {name: history.meant_by(name) for name in missing}
    said = "".join(f"; nearest: {m[0]}, because {m[1]}" for m in near.values() if m)
    why = (
        f"search version control for the file first ({_searched(seen, missing[0])}), and do not "
        f"point down_revision at just any head{said}"
    )
    human = NeedsHuman(finding=finding, why=why)
    correct = _corrected(finding, seen, near)
    if correct and correct.default:
        return (correct,)
    others = (correct, _stand_in(finding, seen, missing))
    return (human, *(cure for cure in others if cure))


def _searched(seen: Observation, id: str) -> str:
    if "sightings" in seen.missing:
        return f"git log --all -S'{id}'; not searched here: {seen.missing['sightings'].why}"
    return "no branch, tag, stash, reflog or package that is known here has it"


def _corrected(
    finding: Finding, seen: Observation, near: Mapping[str, tuple[str, str] | None]
) -> Remedy | None:
    """down_revision with the ids that were meant; a default where a file's name was written."""
    meant = {name: found for name, found in near.items() if found}
    revision = seen.history.by_id[finding.subject]
    if len(meant) < len(near) or any(
        finding.subject in seen.history.closure((m[0],)) for m in meant.values()
    ):
        return None
    down = tuple(meant[p][0] if p in meant else p for p in revision.down)
    edit = files.edited(seen, revision, "down_revision", down[0] if len(down) == 1 else down)
    if edit is None:
        return None
    whys = " and ".join(f"{found[0]}: {found[1]}" for found in meant.values())
    return Remedy(
        finding=finding,
        key="correct",
        title=f"let {revision.id} follow {whys}",
        steps=(edit,),
        default=all("name of its file" in found[1] for found in meant.values()),
    )


def _stand_in(finding: Finding, seen: Observation, missing: Sequence[str]) -> Remedy | None:
    """A file with the lost id that does nothing, on top of the one head that is left."""
    heads = files.tops(seen.history)
    if len(missing) != 1 or len(heads) != 1:
        return None
    return files.pass_through(finding, seen, missing[0], heads[0], False)


def _shown(down: tuple[str, ...]) -> str:
    return repr(down[0] if len(down) == 1 else down)


CHECK = Check(
    code="MD203", name="missing-parent", severity=Severity.ERROR, find=find, remedy=remedy
)
