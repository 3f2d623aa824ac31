"""Observations with given revision files, for MD2xx."""

from pathlib import Path
from typing import Any

from migdoctor.facts import VersionTable
from migdoctor.graph import Broken, Bytecode, History, Revision
from migdoctor.model import Check, Cure, Finding, NeedsHuman, Observation, Remedy
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
