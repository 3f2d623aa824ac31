"""MD209: a revision id that the version table cannot hold (incident 12)."""

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

ALEMBIC = 32  # alembic creates version_num as VARCHAR(32)


def limit(seen: Observation) -> int | None:
    """The number of characters that fit, None without a limit (SQLite ignores the width).

    Without a version table it is the one that alembic is going to create.
    """
    if seen.dialect == "sqlite":
        return None
    table = seen.version_table
    return table.width if table else ALEMBIC


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each id."""
    if (width := limit(seen)) is None:
        return
    for revision in seen.history.by_id.values():
        if len(revision.id) > width:
            yield Finding(
                code="MD209",
                subject=revision.id,
                message=f"revision id {revision.id} has {len(revision.id)} characters and "
                f"version_num holds {width}: the upgrade to it fails and is rolled back",
                help="Make the column wider before upgrading; do not shorten an id that any "
                "database has.",
                evidence=(
                    Evidence(title=f"{revision.path}:{revision.line}", text=f"{revision.id!r}"),
                ),
                path=revision.path,
                line=revision.line,
            )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The column is MD408's to widen; where there is none yet, a person widens it or the id goes.

    A shorter id may be chosen where this database does not have the long one.
    """
    if seen.version_table is not None:
        human = NeedsHuman(finding=finding, why="cured by MD408, which widens the column")
        return (human,)
    human = NeedsHuman(
        finding=finding,
        why="there is no version table yet: create it with a wider column before the first "
        "upgrade, or shorten the id if no database has it",
    )
    return (human, *_shortened(finding, seen))


def _shortened(finding: Finding, seen: Observation) -> tuple[Remedy, ...]:
    """The first characters that are unique, in the file and in those that name it."""
    history, long = seen.history, finding.subject
    short = long[: limit(seen)].rstrip("_")
    if any(id.startswith(short) for id in history.by_id if id != long):
        return ()
    steps = files.renaming(seen, long, short)
    if steps is None:
        return ()
    title = f"shorten {long} to {short}, in every file that names it"
    return (Remedy(finding=finding, key="shorten", title=title, steps=steps, default=False),)


CHECK = Check(
    code="MD209", name="revision-id-too-long", severity=Severity.ERROR, find=find, remedy=remedy
)
