"""MD212: identifiers that are computed when the file runs and cannot be read from its text."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

SHOWN = 12


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for all files: it limits what can be known, it is no sickness of theirs."""
    files = [b for b in seen.history.broken if b.kind == "dynamic"]
    if not files:
        return
    lines = [f"{b.path}:{b.line or 1} {b.text}" for b in files[:SHOWN]]
    lines += [f"... and {len(files) - SHOWN} more"] if len(files) > SHOWN else []
    names = ", ".join(b.path.name for b in files[:3]) + (" ..." if len(files) > 3 else "")
    yield Finding(
        code="MD212",
        subject="revision files",
        message=f"{names}: identifiers are computed, so the history is known in part only",
        help="Write revision, down_revision, branch_labels and depends_on as plain texts.",
        evidence=(Evidence(title="what is computed", text="\n".join(lines)),),
        path=files[0].path,
        line=files[0].line,
    )


CHECK = Check(
    code="MD212",
    name="dynamic-identifiers",
    severity=Severity.INFO,
    find=find,
    remedy=leave_to_human("the values are what the author's code makes of them"),
)
