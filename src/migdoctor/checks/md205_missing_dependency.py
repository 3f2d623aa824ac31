"""MD205: a depends_on that is neither a revision id nor a branch label (incident 31)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


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


CHECK = Check(
    code="MD205",
    name="missing-dependency",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "what has to run first is known to the author of the revision; write the full id or the "
        "label into depends_on"
    ),
)
