"""Ids that no local file has, looked for in a real repository and in bytecode."""

import hashlib
import os
import py_compile
import shutil
import subprocess
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Lost, Sighting, Sound
from migdoctor.observe import git, history, witness


class Project:
    """A project with its version folder in a git repository."""

    def __init__(self, root: Path, *, init: bool = True) -> None:
        self.root, self.versions = root, root / "db" / "versions"
        if not init:
            return
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
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "--short=10", "HEAD")

    def witness(self) -> witness.Witness:
        seen = history.read((self.versions,), False, False)
        return witness.Witness(seen, (self.versions,), self.root)

    def look(self, *ids: str) -> dict[str, Sighting]:
        return dict(self.witness().look(ids))

    def blind(self, *ids: str) -> str:
        """Why nothing could be seen."""
        with pytest.raises(NotObserved) as caught:
            self.look(*ids)
        return caught.value.why


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "repository")
    made.add("aaa1")
    return made


def test_nobody_has_seen_it(project: Project):
    assert project.look("zzz9") == {}


def test_without_a_repository_without_git_and_without_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = Project(tmp_path)
    assert made.blind("zzz9") == "the repository has no commit yet"
    shutil.rmtree(tmp_path / ".git")
    assert made.blind("zzz9") == "the version folders are in no git repository"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert made.blind("zzz9") == "git cannot be run here: No such file or directory"


def test_a_shallow_clone_says_so_and_still_tells_what_it_has(project: Project, tmp_path: Path):
    gone = project.add("bbb2", "aaa1")
    text = gone.read_text()
    gone.unlink()
    project.commit("delete")
    project.git("clone", "--quiet", "--depth=1", f"file://{project.root}", str(tmp_path / "less"))
    less = Project(tmp_path / "less", init=False)
    assert "shallow clone; `git fetch --unshallow`" in less.blind("bbb2")
    with pytest.raises(NotApplicable):
        less.witness().versions(["aaa1"])
    less.git("fetch", "--quiet", "--unshallow")
    assert less.look("bbb2")["bbb2"].files[0].text == text


def test_a_repository_of_somebody_else_is_refused_by_git_and_that_is_said(project: Project):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in (project.root, project.root / ".git"):
        os.chown(path, 12345, 12345)
    assert "safe.directory" in project.blind("zzz9")


def test_a_repository_that_is_not_around_the_version_folders(project: Project, tmp_path: Path):
    (project.root / ".git").rename(tmp_path / "elsewhere")
    (project.root / ".git").write_text(f"gitdir: {tmp_path / 'elsewhere'}\n")
    project.git("config", "core.worktree", str(project.root / "db" / "other"))
    (project.root / "db" / "other").mkdir()
    assert project.blind("zzz9") == "the version folders are outside the repository"
    project.git("config", "--unset", "core.worktree")
    project.git("config", "core.bare", "true")
    assert "bare" in project.blind("zzz9")


def test_on_another_branch_down_to_the_first_local_id(project: Project):
    project.git("switch", "--quiet", "--create", "gifts")
    parent = project.add("bbb2", "aaa1")
    child = project.add("ccc3", "bbb2")
    texts = child.read_text(), parent.read_text()
    commit = project.head()
    project.git("switch", "--quiet", "main")
    seen = project.look("ccc3")["ccc3"]
    assert seen == Sighting(
        id="ccc3",
        source="git",
        where=f"branch gifts (commit {commit})",
        path="db/versions/ccc3_do.py",
        leads_to=("bbb2", "aaa1"),
        when=seen.when,
        files=(
            Lost(id="ccc3", to=project.versions / "ccc3_do.py", text=texts[0]),
            Lost(id="bbb2", to=project.versions / "bbb2_do.py", text=texts[1]),
        ),
    )
    assert seen.whole
    assert seen.when


def test_a_branch_that_still_has_it_is_named_before_the_commit_that_deleted_it(project: Project):
    project.add("bbb2", "aaa1")
    added = project.head()
    project.git("branch", "release")
    (project.versions / "bbb2_do.py").unlink()
    project.commit("delete")
    assert project.look("bbb2")["bbb2"].where == f"branch release (commit {added})"


def test_uncommitted_deletion_of_the_branch_that_is_checked_out(project: Project):
    project.add("bbb2", "aaa1").unlink()
    assert project.look("bbb2")["bbb2"].where == f"branch main (commit {project.head()})"


def test_only_in_the_reflog_an_older_stash_and_unreachable(project: Project):
    project.git("switch", "--quiet", "--create", "gone")
    project.add("bbb2", "aaa1")
    commit = project.head()
    project.git("switch", "--quiet", "main")
    project.git("branch", "--quiet", "-D", "gone")
    for id in ("sss1", "sss2"):
        project.add(id, "aaa1", commit=False)
        project.git("stash", "--quiet", "--include-untracked")
    seen = project.look("bbb2", "sss1", "sss2")
    assert seen["bbb2"].where == f"the reflog (commit {commit})"
    assert seen["sss1"].where.startswith("the reflog (commit ")
    assert seen["sss2"].where.startswith("a stash (commit ")
    project.git("reflog", "expire", "--expire=now", "--all")
    assert project.look("bbb2")["bbb2"].where == f"no branch any more (commit {commit})"
    project.git("gc", "--quiet", "--prune=now")
    assert project.look("bbb2") == {}


def test_where_the_versions_folder_was_before_it_moved(project: Project):
    text = project.add("bbb2", "aaa1").read_text()
    project.git("mv", "db", "migrations")
    (project.root / "migrations/versions/bbb2_do.py").unlink()
    project.commit("move and delete")
    project.versions = project.root / "migrations" / "versions"
    seen = project.look("bbb2")["bbb2"]
    assert seen.path == "db/versions/bbb2_do.py"
    assert seen.files == (Lost(id="bbb2", to=project.versions / "bbb2_do.py", text=text),)


def test_in_an_installed_wheel(project: Project, tmp_path: Path):
    python = tmp_path / "venv" / "bin" / "python"
    site = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    (site / "shop" / "versions").mkdir(parents=True)
    (site / "shop-2.0.dist-info").mkdir()
    file = site / "shop" / "versions" / "bbb2_do.py"
    file.write_text('revision = "bbb2"\ndown_revision = "aaa1"\n')
    record = ("bbb2_do.py", "aaa1_do.py")
    (site / "shop-2.0.dist-info" / "RECORD").write_text(
        "".join(f"shop/versions/{name},sha256=x,9\n" for name in record)
    )
    graph = history.read((project.versions,), False, False)
    # A stranger's revision may have the same id.
    ask = witness.Witness(graph, (project.versions,), project.root, python)
    assert ask.look(["bbb2"]) == {}
    shutil.copy(project.versions / "aaa1_do.py", file.parent)
    ask = witness.Witness(graph, (project.versions,), project.root, python)
    seen = ask.look(["bbb2"])["bbb2"]
    assert (seen.source, seen.where) == ("package", "the installed package shop 2.0")
    assert (seen.path, seen.leads_to) == (str(file), ("aaa1",))
    to = project.versions / "bbb2_do.py"
    assert seen.files == (Lost(id="bbb2", to=to, text=file.read_text()),)
    assert ask.look(["zzz9"]) == {}


def test_an_id_that_is_only_named_by_others_is_not_seen(project: Project):
    project.git("switch", "--quiet", "--create", "gifts")
    project.add("ccc3", "bbb2")
    project.git("switch", "--quiet", "main")
    assert project.look("bbb2") == {}
    seen = project.look("ccc3")["ccc3"]
    assert (seen.leads_to, seen.missing, seen.whole) == ((), ("bbb2",), False)


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
    assert project.witness().versions(["aaa1"])
    assert project.look("zzz9") == {}
    assert state() == before


def test_no_program_that_the_repository_names_is_started(project: Project, tmp_path: Path):
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    settings = ["core.fsmonitor", "core.pager", "pager.log", "diff.external", "diff.x.textconv"]
    settings += ["gpg.program", "core.sshCommand", "diff.x.command", "core.editor"]
    for name in settings:
        project.git("config", name, str(trap))
    for name, value in {"log.showSignature": "true", "log.showRoot": "false"}.items():
        project.git("config", name, value)
    (project.root / ".gitattributes").write_text("*.py diff=x\n")
    for hook in (project.root / ".git" / "hooks").iterdir():
        hook.unlink()
    project.git("-c", "core.fsmonitor=false", "add", "--all")
    project.git("-c", "core.fsmonitor=false", "commit", "--quiet", "-m", "trap")
    (tmp_path / "sprung").unlink(missing_ok=True)
    (project.versions / "aaa1_do.py").unlink()
    assert "aaa1" in project.look("aaa1", "zzz9")
    assert project.witness().versions(["aaa1"])
    assert not (tmp_path / "sprung").exists()


# --- the past of files that are here


def test_versions_of_a_file_oldest_first_over_a_new_name(project: Project):
    path = project.add("bbb2", "aaa1")
    first, commit = path.read_text(), project.head()
    path.write_text(first + "# note\n")
    project.commit("note")
    project.git("mv", str(path), str(path.with_name("renamed.py")))
    project.commit("rename")
    seen = project.witness().versions(["bbb2", "zzz9"])
    assert [v.text for v in seen["bbb2"]][:2] == [first, first + "# note\n"]
    assert (seen["bbb2"][0].commit, seen["bbb2"][0].down) == (commit, ("aaa1",))


def test_what_a_branch_had_before_it_was_merged_was_never_released(project: Project):
    project.git("switch", "--quiet", "--create", "work")
    path = project.add("bbb2", "aaa1")
    path.write_text(path.read_text() + "x = 1\n")
    project.commit("better")
    project.git("switch", "--quiet", "main")
    project.git("merge", "--quiet", "--no-ff", "-m", "merge", "work")
    assert [v.text for v in project.witness().versions(["bbb2"])["bbb2"]] == [path.read_text()]


def test_inside_a_hook_of_another_repository(project: Project, monkeypatch: pytest.MonkeyPatch):
    (project.versions / "aaa1_do.py").unlink()
    monkeypatch.setenv("GIT_DIR", "/nowhere/.git")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert "aaa1" in project.look("aaa1")


def test_time_is_limited(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.add("ddd4", "aaa1").unlink()
    project.commit("delete")
    assert "ddd4" in project.look("ddd4")
    monkeypatch.setattr(git, "SECONDS", 0.0)
    assert project.blind("ddd4") == "git was not done after 2 seconds"


# --- files that are here and cannot be loaded ----------------------------------------------------


def sound(project: Project, path: Path) -> Sound | None:
    ask, now = project.witness(), path.read_bytes().decode("utf-8", "surrogateescape")
    return ask.sound({path: now}).get(path)


def test_the_last_sound_version_and_whether_the_broken_one_is_kept(project: Project):
    path = project.add("bbb2", "aaa1")
    first = path.read_text()
    path.write_text(first + "# more\n")
    project.commit("more")
    where = f"commit {project.head()}"
    path.write_text(first + "<<<<<<< HEAD\n")
    seen = sound(project, path)
    assert seen is not None
    assert seen.where.startswith(where)
    assert (seen.id, seen.down, seen.text) == ("bbb2", ("aaa1",), first + "# more\n")
    assert (seen.here, seen.kept) == (True, False)
    project.commit("broken")
    project.add("ccc3", "bbb2")
    seen = sound(project, path)
    assert seen is not None
    assert (seen.text, seen.kept) == (first + "# more\n", True)


def test_a_broken_file_with_another_name_is_known_by_its_id(project: Project):
    text = project.add("bbb2", "aaa1").read_text()
    (project.versions / "bbb2_do.py").rename(project.versions / "renamed.py")
    (project.versions / "renamed.py").write_text(text + "(")
    project.commit("renamed")
    seen = sound(project, project.versions / "renamed.py")
    assert seen is not None
    assert seen.text == text
    (project.versions / "renamed.py").write_bytes(b"\0")  # what it is cannot be told any more
    assert sound(project, project.versions / "renamed.py") is None


def test_a_version_of_another_revision_under_the_same_name_is_none(project: Project):
    path = project.add("bbb2", "aaa1")
    path.write_text('revision = "zzz9"\n(')
    assert sound(project, path) is None


def test_sound_on_another_branch_only(project: Project):
    project.git("switch", "--quiet", "--create", "gifts")
    path = project.add("bbb2", "aaa1")
    text, commit = path.read_text(), project.head()
    project.git("switch", "--quiet", "main")
    path.write_text(text + "<<<<<<< HEAD\n")
    project.commit("a merge gone wrong")
    seen = sound(project, path)
    assert seen is not None
    assert (seen.here, seen.where) == (False, f"branch gifts (commit {commit})")


def test_sound_versions_without_a_repository(project: Project):
    path = project.add("bbb2", "aaa1")
    path.write_text("(")
    shutil.rmtree(project.root / ".git")
    with pytest.raises(NotObserved):
        sound(project, path)
