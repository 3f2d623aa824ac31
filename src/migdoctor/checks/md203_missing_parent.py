"""MD203: a down_revision names a revision that no file has (incident 24)."""

from collections.abc import Iterator

from migdoctor.model import Check, Cure, Evidence, Finding, NeedsHuman, Observation, Severity


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


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Which revision was meant decides what every database runs: never chosen by a program."""
    missing = [p for r, p in seen.history.missing_parents if r.id == finding.subject]
    near = [m for m in map(seen.history.meant_by, missing) if m]
    said = "".join(f"; nearest: {id}, because {why}" for id, why in near)
    return NeedsHuman(
        finding=finding,
        why="search version control for the file first "
        f"(git log --all -S'{missing[0]}'), and do not point down_revision at just any head{said}"
        if missing
        else "the parent is there by now",
    )


def _shown(down: tuple[str, ...]) -> str:
    return repr(down[0] if len(down) == 1 else down)


CHECK = Check(
    code="MD203", name="missing-parent", severity=Severity.ERROR, find=find, remedy=remedy
)
