"""MD208: compiled revisions without a source that take part as phantoms (incident 33)."""

from collections.abc import Iterator

from migdoctor.cures import files
from migdoctor.graph import Bytecode
from migdoctor.model import (
    Check,
    Cure,
    Evidence,
    Finding,
    MoveFile,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
)


def phantoms(seen: Observation) -> tuple[Bytecode, ...]:
    """Orphans that alembic loads, and those that lie beside the sources.

    An orphan in `__pycache__` that is not loaded is what every change of branch leaves behind. A
    history of bytecode alone is a deployment by design.
    """
    history = seen.history
    sources = any(r.path.suffix == ".py" for r in history.revisions)
    return tuple(
        code
        for code in history.bytecode
        if code.id and sources and (code.loaded or code.path.parent.name != "__pycache__")
    )


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for each file; only a nuisance where alembic does not load it."""
    for code in phantoms(seen):
        says = f"{code.path.name} is compiled revision {code.id}, and its source is gone"
        yield Finding(
            code="MD208",
            subject=str(code.path),
            message=f"{says}: with sourceless = true alembic loads it as one more revision"
            if code.loaded
            else f"{says}; alembic passes over it, but with sourceless = true it would load it",
            help="Put it aside, or bring its source back.",
            severity=None if code.loaded else Severity.INFO,
            evidence=(
                Evidence(
                    title=str(code.path),
                    text=f"revision {code.id}, after {', '.join(code.down) or 'nothing known'}",
                ),
            ),
            path=code.path,
        )


def remedy(finding: Finding, seen: Observation) -> Cure:
    """Rename it, unless something needs its revision: then its source comes back.

    Where the source was seen nowhere this may be the only copy of that migration.
    """
    code = next(c for c in phantoms(seen) if str(c.path) == finding.subject)
    needed = not seen.has("version_tables") or any(code.id in t.rows for t in seen.version_tables)
    needed |= any(code.id in r.down or code.id in r.depends_on for r in seen.history.revisions)
    if needed and code.id and (back := files.restored(finding, seen, (code.id,))):
        return back
    if not seen.has("version_tables") or any(code.id in t.rows for t in seen.version_tables):
        return NeedsHuman(
            finding=finding,
            why=f"a database may be at {code.id}, and this file may be the only copy of it: find "
            "its source in version control before anything else",
        )
    if any(code.id in r.down or code.id in r.depends_on for r in seen.history.revisions):
        return NeedsHuman(finding=finding, why=f"other revisions follow {code.id}: find its source")
    if not seen.writable_files:
        return NeedsHuman(finding=finding, why="this folder may not be written; move it yourself")
    aside = code.path.with_name(f"{code.path.name}.migdoctor")
    return Remedy(
        finding=finding,
        key="aside",
        title=f"rename {code.path.name} so that nothing loads it",
        steps=(MoveFile(path=code.path, to=aside, sha256=code.sha256),),
    )


CHECK = Check(
    code="MD208", name="stale-bytecode", severity=Severity.WARNING, find=find, remedy=remedy
)
