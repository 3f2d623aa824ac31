"""MD204: revisions that come before themselves (incident 25)."""

from collections.abc import Iterator

from migdoctor.model import Check, Cure, Evidence, Finding, NeedsHuman, Observation, Severity


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


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Name the file that this database does not have, and twins that close the loop."""
    knot = finding.subject.split(" ")
    history = seen.history
    rows = set(seen.stamped)
    outside = [history.by_id[id].path.name for id in knot if id not in rows]
    twins = [history.by_id[id].path.name for id in knot if id in history.twins]
    said = f"; an id in it is claimed twice, by {', '.join(twins)} (MD202)" if twins else ""
    return NeedsHuman(
        finding=finding,
        why="a person must say which of the files carries the wrong id or parent: "
        f"{', '.join(outside) or 'see the list'}{said}; give the newest, never applied one a fresh "
        "id or the right parent",
    )


CHECK = Check(code="MD204", name="cycle", severity=Severity.ERROR, find=find, remedy=remedy)
