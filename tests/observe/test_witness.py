"""Ids that no local file has, looked for in a real repository and in bytecode."""

import hashlib
import os
import py_compile
import subprocess
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from migdoctor.facts import Sighting
from migdoctor.observe import history, witness


class Project:
    """A project with its version folder in a git repository."""

    def __init__(self, root: Path) -> None:
        self.root, self.versions = root, root / "db" / "versions"
        self.versions.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgSign=false")
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(
            ["git", *who, *words], cwd=self.root, env=env, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def add(self, id: str, *down: str, commit: bool = True) -> Path:
        path = self.versions / f"{id}_do.py"
        path.write_text(f'"""do"""\nrevision = "{id}"\ndown_revision = {down or None!r}\n')
        if commit:
            self.commit(f"add {id}")
        return path

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "--short", "HEAD")

    def look(self, *ids: str) -> dict[str, Sighting]:
        seen = history.read((self.versions,), False, False)
        return dict(witness.look(ids, seen, (self.versions,), self.root))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.add("aaa1")
    return made


def test_nobody_has_seen_it(project: Project):
    assert project.look("zzz9") == {}


def test_without_a_repository_or_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    versions = tmp_path / "versions"
    versions.mkdir()
    seen = history.read((versions,), False, False)
    assert witness.look(("zzz9",), seen, (versions,), tmp_path) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert witness.look(("zzz9",), seen, (versions,), tmp_path) == {}


def test_on_another_branch_down_to_the_first_local_id(project: Project):
    project.git("switch", "--quiet", "--create", "gifts")
    project.add("bbb2", "aaa1")
    project.add("ccc3", "bbb2")
    commit = project.git("rev-parse", "--short", "HEAD")
    project.git("switch", "--quiet", "main")
    assert project.look("ccc3")["ccc3"] == Sighting(
        id="ccc3",
        source="git",
        where=f"branch gifts (commit {commit})",
        path="db/versions/ccc3_do.py",
        leads_to=("bbb2", "aaa1"),
    )


def test_an_id_that_is_only_named_by_others_is_not_seen(project: Project):
    project.git("switch", "--quiet", "--create", "gifts")
    project.add("ccc3", "bbb2")
    project.git("switch", "--quiet", "main")
    assert project.look("bbb2") == {}
    assert project.look("ccc3")["ccc3"].leads_to == ()


def test_a_deleted_file_a_tag_and_a_stash(project: Project):
    project.add("ddd4", "aaa1").unlink()
    gone = project.commit("delete")
    project.git("switch", "--quiet", "--detach")
    project.add("ttt1", "aaa1")
    project.git("tag", "v2")
    project.git("switch", "--quiet", "main")
    project.add("sss1", "aaa1", commit=False)
    project.git("add", "--all")
    project.git("stash", "--quiet")
    seen = project.look("ddd4", "ttt1", "sss1")
    assert seen["ddd4"].where == f"branch main (deleted by {gone})"
    assert seen["ttt1"].where.startswith("tag v2 (commit ")
    assert seen["sss1"].where.startswith("a stash (commit ")
    assert {s.leads_to for s in seen.values()} == {("aaa1",)}


def test_bytecode_when_git_has_nothing(project: Project):
    path = project.add("eee5", "aaa1", commit=False)
    py_compile.compile(str(path), doraise=True)
    path.unlink()
    seen = project.look("eee5")["eee5"]
    assert seen.source == "bytecode"
    assert seen.path == str(Path(cache_from_source(str(path))).relative_to(project.root))
    assert seen.leads_to == ("aaa1",)


def test_nothing_in_the_repository_is_touched(project: Project):
    project.git("switch", "--quiet", "--create", "gifts")
    project.add("bbb2", "aaa1")
    project.git("switch", "--quiet", "main")
    kept = project.versions / "aaa1_do.py"
    os.utime(kept, (1, 1))  # the index is stale now: `git status` would rewrite it

    def state() -> dict[str, str]:
        files = (p for p in project.root.rglob("*") if p.is_file())
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    before = state()
    assert "bbb2" in project.look("bbb2")
    assert state() == before


def test_time_is_limited(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.add("ddd4", "aaa1").unlink()
    project.commit("delete")
    assert "ddd4" in project.look("ddd4")
    monkeypatch.setattr(witness, "SECONDS", 0.0)
    assert project.look("ddd4") == {}
