"""Observations with given revision files, for MD2xx."""

from pathlib import Path
from typing import Any

from migdoctor.facts import Lost, Sighting, Version, VersionTable
from migdoctor.graph import Broken, Bytecode, History, Revision
from migdoctor.model import Check, Cure, EditFile, Finding, NeedsHuman, Observation, Remedy
from tests.facts import healthy


def revision(id: str, *down: str, name: str | None = None, **more: Any) -> Revision:
    facts: dict[str, Any] = {"depends_on": (), "labels": (), "line": 8, "message": f"do {id}"}
    path = Path(f"versions/{name or id}.py")
    return Revision(id=id, down=down, path=path, sha="", **(facts | more))


def broken(name: str, kind: Any = "syntax", id: str | None = None, line: int | None = 3) -> Broken:
    return Broken(path=Path(f"versions/{name}"), line=line, kind=kind, text="invalid syntax", id=id)


def bytecode(name: str, id: str | None, *down: str, loaded: bool = True) -> Bytecode:
    return Bytecode(path=Path(f"versions/{name}"), id=id, down=down, loaded=loaded, sha256="ab12")


CHAIN = (revision("aaa1"), revision("bbb2", "aaa1"), revision("ccc3", "bbb2"))


def files(*revisions: Revision, rows: tuple[str, ...] = (), **more: Any) -> Observation:
    """A well database, SQLite, with these revision files; `rows` are its version rows."""
    graph = {k: more.pop(k) for k in ("broken", "bytecode", "loaded_twice") if k in more}
    facts = {"version_tables": (table(*rows),), "history": History(revisions=revisions, **graph)}
    return healthy(**(facts | more))


def table(*rows: str, schema: str = "main", width: int | None = None) -> VersionTable:
    return VersionTable(
        schema=schema,
        name="alembic_version",
        rows=rows,
        width=width,
        primary_key=True,
        configured=True,
    )


def text(revision: Revision, body: str = "pass") -> str:
    """A file that says what the revision says."""
    down = revision.down[0] if len(revision.down) == 1 else revision.down or None
    depends = revision.depends_on[0] if len(revision.depends_on) == 1 else revision.depends_on
    labels = revision.labels[0] if len(revision.labels) == 1 else revision.labels
    return (
        f"revision = {revision.id!r}\ndown_revision = {down!r}\n"
        f"branch_labels = {labels or None!r}\ndepends_on = {depends or None!r}\n"
        f"\n\ndef upgrade():\n    {body}\n"
    )


def written(*revisions: Revision, **more: Any) -> Observation:
    """As `files`, with the texts of all of them, each doing something of its own."""
    texts = {r.path: text(r, f"op.do({r.path.stem!r})") for r in revisions}
    return files(*revisions, **({"texts": texts} | more))


def lost(id: str, *leads_to: str, missing: tuple[str, ...] = ()) -> Sighting:
    """A sighting in git with its file."""
    file = Lost(id=id, to=Path(f"versions/{id}.py"), text=f"revision = {id!r}\n")
    where = "branch gifts (commit 1a2b3c4d5e)"
    return Sighting(
        id=id, source="git", where=where, path=f"versions/{id}.py", leads_to=leads_to,
        files=(file,), missing=missing,
    )  # fmt: skip


def version(revision: Revision, *down: str, commit: str = "c1") -> Version:
    """What its file was in an earlier commit."""
    return Version(
        path=revision.path, down=down, commit=commit, when="2024-01-01", text=text(revision)
    )


def cures(check: Check, seen: Observation) -> tuple[Cure, ...]:
    """All cures of the only finding, the default first."""
    (finding,) = check.find(seen)
    answer = check.remedy(finding, seen)
    return answer if isinstance(answer, tuple) else (answer,)


def changed(cure: Cure) -> dict[str, list[str]]:
    """The lines that a remedy adds, by file."""
    assert isinstance(cure, Remedy)
    edits = [step for step in cure.steps if isinstance(step, EditFile)]
    return {
        e.path.stem: [x for x in (e.after or "").splitlines() if x not in (e.before or "")]
        for e in edits
    }


def found(check: Check, seen: Observation) -> list[Finding]:
    return list(check.find(seen))


def cure(check: Check, seen: Observation) -> Cure:
    """The first cure of the only finding."""
    (finding,) = check.find(seen)
    answer = check.remedy(finding, seen)
    answer = answer[0] if isinstance(answer, tuple) else answer
    assert isinstance(answer, Remedy | NeedsHuman)
    return answer


def why(check: Check, seen: Observation) -> str:
    """Why the only finding is left to a person."""
    left = cure(check, seen)
    assert isinstance(left, NeedsHuman)
    return left.why
