"""MD204: revisions that come before themselves (incident 25)."""

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
    """One finding for each knot: self-loops, cycles, and loops closed by depends_on."""
    by_id = seen.history.by_id
    for knot in seen.history.cycles:
        first = by_id[knot[0]]
        ring = " -> ".join((*knot, knot[0]))
        lines = [
            f"{by_id[id].path}:{by_id[id].line} {id} after "
            f"{', '.join((*by_id[id].down, *by_id[id].depends_on))}"
            for id in knot
        ]
        yield Finding(
            code="MD204",
            subject=" ".join(sorted(knot)),
            message=f"{ring}: each is said to come after the next, so none can run; alembic stops "
            "with 'Cycle', 'Self-loop' or 'Dependency cycle is detected'",
            help="Correct the file that was added last; leave those that databases have alone.",
            evidence=(Evidence(title="what each file says", text="\n".join(lines)),),
            path=first.path,
            line=first.line,
        )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The parent that a file of the knot had before, where git knows it; else the only head.

    A file that this database has is never changed: the one that was added last is wrong.
    """
    knot = finding.subject.split(" ")
    history = seen.history
    twins = [history.by_id[id].path.name for id in knot if id in history.twins]
    rows = set(seen.stamped) if seen.has("version_tables") else set(knot)
    outside = [id for id in knot if id not in rows]
    said = f"; an id in it is claimed twice, by {', '.join(twins)} (MD202)" if twins else ""
    names = ", ".join(history.by_id[id].path.name for id in outside)
    human = NeedsHuman(
        finding=finding,
        why="a person must say which of the files carries the wrong id or parent: "
        f"{names or 'see the list'}{said}; give the newest, never applied one a fresh "
        "id or the right parent",
    )
    if twins:
        return (human,)
    before = [cure for id in outside if (cure := _as_before(finding, seen, id, knot))]
    if len(before) == 1:
        return (before[0],)
    if len(knot) == 1 and outside and (cure := _on_top(finding, seen, knot[0])):
        return (human, cure) if before else (cure,)
    return (human,)


def _as_before(finding: Finding, seen: Observation, id: str, knot: list[str]) -> Remedy | None:
    """The parents that the file had in an earlier commit and that do not lead into the knot."""
    found = files.parents_before(seen, id, knot)
    if found is None:
        return None
    version, edit = found
    return Remedy(
        finding=finding,
        key="as-before",
        title=f"let {id} follow {' and '.join(version.down) or 'nothing'} again, as in "
        f"commit {version.commit}, {version.when}",
        steps=(edit,),
    )


def _on_top(finding: Finding, seen: Observation, id: str) -> Remedy | None:
    """A revision that names itself, on top of the only head of all that is not after it."""
    history = seen.history
    tips = files.tops(history)
    if len(tips) != 1 or history.missing_parents:  # those come first (MD203), and may be heads then
        return None
    revision = history.by_id[id]
    edit = files.edited(seen, revision, "down_revision", tips[0])
    if edit is None:
        return None
    title = f"let {id} follow {tips[0]}, the only head of the others"
    return Remedy(finding=finding, key="on-top", title=title, steps=(edit,))


CHECK = Check(code="MD204", name="cycle", severity=Severity.ERROR, find=find, remedy=remedy)
