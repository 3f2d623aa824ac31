"""Files on disk in, History out; alembic's own ScriptDirectory is the judge of what is right."""

import os
import py_compile
import textwrap
import warnings
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from migdoctor.graph import History, Revision
from migdoctor.observe import history, revision_file

PLAIN = '''"""{message}

Revision ID: {id}
"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = {id!r}
down_revision = {down!r}
branch_labels = {labels!r}
depends_on = {depends_on!r}


def upgrade():
    op.add_column("t", sa.Column("c", sa.Integer()))


def downgrade():
    op.drop_column("t", "c")
'''


def write(folder: Path, id: str, down: object = None, **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"message": f"do {id}", "labels": None, "depends_on": None} | more
    path = folder / f"{id}.py"
    path.write_text(PLAIN.format(id=id, down=down, **values))
    return path


def source(folder: Path, name: str, text: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    data = textwrap.dedent(text).encode() if isinstance(text, str) else text
    path.write_bytes(data)
    return path


def read(*folders: Path, recursive: bool = False, sourceless: bool = False) -> History:
    return history.read(folders, recursive, sourceless)


def as_alembic(seen: History, *folders: Path, recursive: bool = False) -> ScriptDirectory:
    """Assert that alembic finds the same history; it must not leave bytecode behind."""
    script = ScriptDirectory(
        str(folders[0]),
        version_locations=[str(f) for f in folders],
        recursive_version_locations=recursive,
    )
    map_ = script.revision_map._revision_map
    theirs = {k: r for k, r in map_.items() if r is not None and r.revision == k}
    assert list(seen.by_id) == list(theirs)
    for id, ours in seen.by_id.items():
        their = theirs[id]
        assert ours.down == their._versioned_down_revisions
        assert {*seen.parents[id]} == {*their._all_down_revisions}
        assert seen.labelled(id) == their.branch_labels, id
        assert {*seen.children[id]} == {*their.nextrev}
        assert ours.message == their.doc.split("\n")[0]
    assert list(seen.heads) == script.get_heads()
    assert list(seen.bases) == script.get_bases()
    assert {*seen.heads} - {*seen.implied} == {*script.get_heads(consider_depends_on=True)}
    return script


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)


# --- healthy histories: the same as alembic -----------------------------------------------------


def test_nothing_at_all(tmp_path: Path):
    seen = read(tmp_path)
    assert seen == History(revisions=())
    assert (seen.heads, seen.bases, seen.cycles, seen.trustworthy) == ((), (), (), True)


def test_a_line_is_read_as_alembic_reads_it(tmp_path: Path):
    for id, down in (("c3", "b2"), ("a1", None), ("b2", "a1")):
        write(tmp_path, id, down)
    seen = read(tmp_path)
    as_alembic(seen, tmp_path)
    assert (seen.heads, seen.bases, seen.broken) == (("c3",), ("a1",), ())
    assert seen.by_id["b2"].line == 10
    assert seen.path_to_heads(("a1",)) == ("b2", "c3")


def test_branches_merges_and_tuples(tmp_path: Path):
    write(tmp_path, "a1")
    write(tmp_path, "b2", ("a1",))
    write(tmp_path, "b3", ["a1"])
    write(tmp_path, "m4", ("b2", "b3"))
    write(tmp_path, "n5", "m4")
    write(tmp_path, "o6", "b3")
    seen = read(tmp_path)
    as_alembic(seen, tmp_path)
    assert seen.heads == ("n5", "o6")
    assert seen.closure(("n5",)) == {"n5", "m4", "b2", "b3", "a1"}


@pytest.mark.parametrize("label_at", ["a1", "b2", "c3", "x1", "x2", "m9"])
def test_labels_spread_as_in_alembic(tmp_path: Path, label_at: str):
    edges = {"a1": None, "b2": "a1", "c3": "b2", "x1": None, "x2": "x1", "m9": ("c3", "x2")}
    edges |= {"n0": "m9", "s1": "a1", "z1": None, "z2": "z1"}
    for id, down in edges.items():
        write(tmp_path, id, down, labels=("lab",) if id == label_at else None)
    as_alembic(read(tmp_path), tmp_path)


@pytest.mark.parametrize("label_at", ["a1", "b2", "c3"])
def test_labels_on_a_plain_line_reach_the_base(tmp_path: Path, label_at: str):
    for id, down in (("a1", None), ("b2", "a1"), ("c3", "b2"), ("d4", "c3")):
        write(tmp_path, id, down, labels="lab" if id == label_at else None)
    seen = read(tmp_path)
    as_alembic(seen, tmp_path)
    assert seen.labelled("a1") == {"lab"}


def test_dependencies_by_id_and_by_label(tmp_path: Path):
    write(tmp_path, "a1", labels=("core",))
    write(tmp_path, "a2", "a1")
    write(tmp_path, "p1", labels=("plug",), depends_on="a2")
    write(tmp_path, "p2", "p1", depends_on=("core", "a2"))
    write(tmp_path, "q1", depends_on="plug")
    seen = read(tmp_path)
    as_alembic(seen, tmp_path)
    assert seen.heads == ("a2", "p2", "q1")
    assert seen.implied == ("a2",)
    assert seen.ancestors("p2") == {"p1", "a2", "a1"}
    assert seen.lineage("p2") == {"p1"}


def test_several_locations_and_folders_below(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, "a1")
    write(one / "sub", "b2", "a1")
    write(one / "another", "b1", "a1")
    write(one / "sub" / "__pycache__", "no1")
    write(two, "z9", labels=("two",))
    as_alembic(read(one, two), one, two)
    as_alembic(read(one, two, recursive=True), one, two, recursive=True)


def test_files_that_alembic_passes_over(tmp_path: Path):
    write(tmp_path, "a1")
    for name in ("__init__.py", "__init__extra.py", ".#a1.py", "a1.py~", "a1.txt", "a1.pyi"):
        source(tmp_path, name, "this is no Python (")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "sub").symlink_to(tmp_path, target_is_directory=True)
    for recursive in (False, True):
        seen = read(tmp_path, recursive=recursive)
        as_alembic(seen, tmp_path, recursive=recursive)
        assert not seen.broken


def test_names_with_dots_and_underscores_count(tmp_path: Path):
    for name in ("_a1.py", ".b2.py", "v3.2.0_c.py"):
        source(tmp_path, name, f"revision = {name!r}\ndown_revision = None\n")
    as_alembic(read(tmp_path), tmp_path)


SHAPES = {
    "annotations": "from typing import Sequence, Union\n"
    "revision: str = 'r'\ndown_revision: Union[str, Sequence[str], None] = 'p'\n",
    "modern annotations": "revision: str = 'r'\ndown_revision: str | None = 'p'  # why\n",
    "several lines": "revision = 'r'\ndown_revision = (\n    'p',\n    # comment\n    'q',\n)\n",
    "brackets only": "revision = ('r')\ndown_revision = (\n    'p'\n)\n",
    "adjacent strings": "revision = 'r' 'r'\ndown_revision = ('p' 'q')\n",
    "constants": "_R = 'r'\n_P = ('p',)\nrevision = _R\ndown_revision = _P + ('q',)\n",
    "f-string": "N = 7\nrevision = f'r{N}'\ndown_revision = f'p{N}'\n",
    "parallel": "revision, down_revision = 'r', 'p'\n",
    "chained": "revision = alias = 'r'\ndown_revision = 'p'\n",
    "second assignment": "revision = 'x'\nrevision = 'r'\ndown_revision = 'p'\n",
    "assigned after a branch": "if 1:\n    revision = 'x'\nrevision = 'r'\ndown_revision = 'p'\n",
    "no newline at the end": "down_revision = 'p'\nrevision = 'r'",
    "extra fields": "airflow_version = '3'\nrevision = 'r'\nx = ('a', 'b')\ndown_revision = 'p'\n",
    "noise secret": "revision = 'r'  # pragma: allowlist secret\ndown_revision = 'p'\n",
    "trap: docstring": '"""t\n\nrevision = "x"\ndown_revision = "y"\n"""\n'
    "revision = 'r'\ndown_revision = 'p'\n",
    "trap: other quotes": "'''t \"\"\"\nrevision = 'x'\n'''\nrevision = 'r'\ndown_revision = 'p'\n",
    "trap: later docstring": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade():\n"
    '    """\nrevision = \'x\'\n    """\n',
    "trap: comment": "# revision = 'x'\nrevision = 'r'\ndown_revision = 'p'\n# revision = 'y'\n",
    "trap: local": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade():\n    revision = 'x'\n",
    "trap: class body": "revision = 'r'\ndown_revision = 'p'\nclass A:\n    revision = 'x'\n",
    "trap: escape": "revision = 'r\\x41'\ndown_revision = 'p'\n",
    "trap: bad escape": "revision = 'r\\d'\ndown_revision = 'p'\n",
    "trap: semicolon": "revision = 'x'; revision = 'r'\ndown_revision = 'p'\n",
    "trap: reassigned below": "revision = 'x'\ndown_revision = 'p'\nsum(())\nrevision = 'r'\n",
    "multidb template": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade(engine_name):\n"
    '    globals()["upgrade_%s" % engine_name]()\n',
    "trap: global": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade():\n"
    "    global revision\n    revision = 'x'\n",
    "trap: text in a function": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade() -> None:\n"
    '    x = """\nrevision = \'x\'\ndef f():\n# """; x = 2\n    # end\n',
    "trap: one line": "revision = 'r'\ndown_revision = 'p'\ndef f(): pass; exec('revision = 1')\n",
    "trap: comprehension": "revision = 'r'\ndown_revision = 'p'\n"
    "x = [revision for revision in 'x']\n",
    "trap: deep": "revision = 'r'\ndown_revision = 'p'\nx = globals and " + "1 + " * 900 + "1\n",
    "trap: never called": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade():\n"
    "    exec('revision = 1', globals())\n    setattr(op, 'revision', 1)\n    op.revision = 2\n"
    "    globals()['down_revision'] = 3\n",
    "trap: read": "revision = 'r'\ndown_revision = 'p'\nx = globals()['revision']\n"
    "y = globals().get('revision')\n",
    "trap: continued": "revision = 'r'\ndown_revision = 'p'\n\n\ndef upgrade():\n"
    "    x = 1 + \\\n1\n",
    "legacy name": "down_revision = 'p'\n",
    "form feed": "\x0crevision = 'r'\n\x0c\ndown_revision = 'p'\n",
    "one-line docstring": '"the doc"  # x\nrevision = "r"\ndown_revision = "p"\n',
    "raw docstring": 'r"""the doc"""\nrevision = "r"\ndown_revision = "p"\n',
    "docstring with quotes": '"""say ""hi" """\nrevision = "r"\ndown_revision = "p"\n',
    "empty parent tuple": "revision = 'r'\ndown_revision = ()\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_way_of_writing_identifiers(tmp_path: Path, shape: str):
    source(tmp_path, "abc.py", SHAPES[shape])
    for parent in ("p", "q", "p7", "pq"):
        source(tmp_path, f"z{parent}.py", f"revision = {parent!r}\ndown_revision = None\n")
    seen = read(tmp_path)
    assert not seen.broken
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bad escape is the file's
        as_alembic(seen, tmp_path)


ENCODINGS = {
    "utf-8": '"""größer"""\nrevision = "a"\ndown_revision = None\n'.encode(),
    "bom": b"\xef\xbb\xbf" + b'"""doc"""\nrevision = "a"\ndown_revision = None\n',
    "crlf": b'"""doc\r\n\r\nmore"""\r\n\r\nrevision = "a"\r\ndown_revision = (\r\n)\r\n',
    "old mac": b'"""doc"""\r# x\rrevision = "a"\rdown_revision = None\r',
    "hidden by a carriage return": b'# x\rrevision = "a"\ndown_revision = None\n',
    "latin-1": b'# -*- coding: latin-1 -*-\n"""gr\xf6\xdfer"""\nrevision = "a"\n'
    b"down_revision = None\n",
    "cookie in line two": b'#!x\n# vim: set fileencoding=cp1252 :\n"""\x80"""\nrevision = "a"\n'
    b"down_revision = None\n",
    "utf-8 id": 'revision = "ä"\ndown_revision = None\n'.encode(),
    "latin-1 id": b'# coding: latin-1\nrevision = "\xe4"\ndown_revision = None\n',
    "utf-7": b'# coding: utf-7\nrevision = "a+AGI-"\ndown_revision = None\n',
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings_as_python_reads_them(tmp_path: Path, name: str):
    source(tmp_path, "x.py", ENCODINGS[name])
    seen = read(tmp_path)
    assert not seen.broken
    as_alembic(seen, tmp_path)


@pytest.mark.parametrize("name", ["utf-8", "bom", "crlf"])
def test_plain_files_take_the_fast_way(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(revision_file, "_slow", None)
    revision, _ = revision_file.parse(ENCODINGS[name], Path("x.py"))
    assert revision is not None
    assert revision.id == "a"


# --- files that cannot be read ------------------------------------------------------------------


HEAD = 'revision = "a"\ndown_revision = None\n'
BROKEN = {
    "body": ("syntax", 4, "a", HEAD + "def upgrade():\n    return (\n"),
    "conflict": (
        *("syntax", 1, None),
        "<<<<<<< HEAD\nrevision = 'a'\n=======\nrevision = 'b'\n>>>>>>> x\ndown_revision = None\n",
    ),
    "conflict below": ("syntax", 4, "a", HEAD + "def upgrade():\n<<<<<<< HEAD\n    pass\n"),
    "not utf-8": ("encoding", None, "a", HEAD.encode() + b"x = '\xe4'\n"),
    "unknown encoding": ("encoding", None, "a", b"# coding: klingon\n" + HEAD.encode()),
    "utf-16": ("encoding", None, None, HEAD.encode("utf-16")),
    "nul": ("binary", None, "a", HEAD.encode() + b"\0\0"),
    "junk": ("binary", None, None, bytes(range(256))),
    "helper": ("missing", None, None, "def shared():\n    pass\n"),
    "no parent": ("missing", None, "a", "revision = 'a'\n"),
    "number": ("missing", 1, None, "revision = 5\ndown_revision = None\n"),
    "none": ("missing", 1, None, "revision = None\ndown_revision = None\n"),
    "numbers": ("missing", 2, "a", "revision = 'a'\ndown_revision = (5,)\n"),
    "from environment": (
        *("dynamic", 3, "a"),
        "import os\nrevision = 'a'\ndown_revision = os.getenv('X')\n",
    ),
    "from name": (
        "dynamic",
        2,
        None,
        "import os\nrevision = __file__[-5:]\ndown_revision = None\n",
    ),
    "branch": (
        *("dynamic", 2, "a"),
        "revision = 'a'\nif X:\n    down_revision = 'p'\nelse:\n    down_revision = None\n",
    ),
    "augmented": ("dynamic", 2, None, "revision = 'a'\nrevision += 'b'\ndown_revision = None\n"),
    "star": ("dynamic", 3, None, HEAD + "from elsewhere import *\n"),
    "star first": ("dynamic", 2, None, "revision = 'a'\nfrom elsewhere import *\n"),
    "globals": ("dynamic", 3, None, HEAD + "globals()['down_revision'] = 'x'\n"),
    "update": ("dynamic", 3, None, HEAD + "vars().update(x)\n"),
    "global": (
        *("dynamic", 4, None),
        HEAD + "def f():\n    global revision\n    revision = 'x'\n\n\nf()\n",
    ),
    "decorated": ("dynamic", 3, None, HEAD + "@exec('revision = 1')\ndef f():\n    pass\n"),
    "default": ("dynamic", 3, None, HEAD + "def f(x=exec('revision = 1')):\n    pass\n"),
    "annotated": ("dynamic", 3, None, HEAD + "def f() -> exec('revision = 1'):\n    pass\n"),
    "called": (
        *("dynamic", 4, None),
        HEAD + "def f():\n    exec('revision = 1', globals())\n\n\nf()\n",
    ),
    "in a class": ("dynamic", 4, None, HEAD + "class A:\n    exec('global revision')\n"),
    "renamed exec": ("dynamic", 3, None, HEAD + "run = exec\nrun('revision = 1')\n"),
    "kept globals": ("dynamic", 3, None, HEAD + "g = globals()\ng['revision'] = 'x'\n"),
    "from outside": (
        *("dynamic", 4, None),
        HEAD + "import sys\nsys.modules[__name__].revision = 'x'\n",
    ),
    "its dictionary": (
        *("dynamic", 4, None),
        HEAD + "import sys\nsys.modules[__name__].__dict__['revision'] = 'x'\n",
    ),
    "in a comprehension": ("dynamic", 3, None, HEAD + "x = [revision := c for c in 'bc']\n"),
    "in a decorator": (
        *("dynamic", 4, None),
        HEAD + "@(revision := str)\ndef f():\n    pass\n",
    ),
    "after a form feed": ("dynamic", 5, None, HEAD + "def f():\n    pass\n  \x0crevision = X\n"),
    "a named function": ("dynamic", 3, None, HEAD + "def revision():\n    pass\n"),
    "exec": ("dynamic", 3, None, HEAD + "exec('revision = 1')\n"),
    "del": ("dynamic", 3, None, HEAD + "del revision\n"),
    "loop": ("dynamic", 3, None, HEAD + "for revision in 'xyz': pass\n"),
    "walrus": ("dynamic", 3, None, HEAD + "print(revision := 'b')\n"),
    "except": ("dynamic", 3, None, HEAD + "try: f()\nexcept E as revision: pass\n"),
    "function": ("dynamic", 3, None, HEAD + "def revision(): pass\n"),
    "imported": ("dynamic", 2, None, "down_revision = None\nfrom x import y as revision\n"),
    "match": ("dynamic", 3, None, HEAD + "match x:\n    case [*revision]: pass\n"),
    "brackets": ("syntax", 2, "a", "revision = 'a'\ndown_revision = ('b']\n"),
    "deep": ("syntax", None, "a", HEAD + "x = " + "(" * 300 + ")" * 300 + "\n"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_a_fact_with_a_place(tmp_path: Path, name: str):
    kind, line, id, text = BROKEN[name]
    source(tmp_path, "x.py", text)
    write(tmp_path, "zz")
    seen = read(tmp_path)
    (broken,) = seen.broken
    assert (broken.path, broken.kind, broken.id) == (tmp_path / "x.py", kind, id), broken
    assert line in (None, broken.line), broken
    assert broken.text
    assert "zz" in seen.by_id
    assert seen.trustworthy is ("a" in seen.by_id)
    assert list(seen.unread) == ([id] if id and not seen.trustworthy else [])


def test_a_broken_body_leaves_the_graph_whole(tmp_path: Path):
    write(tmp_path, "a1")
    source(tmp_path, "b2.py", 'revision = "b2"\ndown_revision = "a1"\ndef upgrade(:\n')
    write(tmp_path, "c3", "b2")
    seen = read(tmp_path)
    assert list(seen.by_id) == ["a1", "b2", "c3"]
    assert (seen.missing_parents, seen.trustworthy) == ((), True)
    assert [b.line for b in seen.broken] == [3]


def test_a_parent_that_cannot_be_read_is_not_missing(tmp_path: Path):
    source(tmp_path, "a1.py", 'x = (\nrevision = "a1"\n')
    write(tmp_path, "b2", "a1")
    write(tmp_path, "c3", depends_on="a1")
    seen = read(tmp_path)
    assert (seen.missing_parents, seen.missing_dependencies) == ((), ())
    assert list(seen.unread) == ["a1"]


def test_all_breakages_come_in_one_run(tmp_path: Path):
    for name, (_, _, _, text) in BROKEN.items():
        source(tmp_path, f"{name.replace(' ', '_')}.py", text)
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "round.py").symlink_to(tmp_path / "round.py")
    os.mkfifo(tmp_path / "pipe.py")
    seen = read(tmp_path)
    assert len(seen.broken) == len(BROKEN) + 3
    assert [b.path.name for b in seen.broken if b.kind == "unreadable"] == [
        *("nowhere.py", "pipe.py", "round.py"),
    ]


def test_a_folder_that_is_not_there_or_is_no_folder(tmp_path: Path):
    gone, file = tmp_path / "gone", source(tmp_path, "file", "")
    seen = read(gone, file)
    assert seen.absent == (gone,)
    assert [(b.path, b.kind) for b in seen.broken] == [(file, "unreadable")]
    assert not read(gone).trustworthy


def test_a_file_without_the_right_to_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shut, real = str(write(tmp_path, "a1")), os.open

    def refuse(path: str, *more: int) -> int:
        if path == shut:  # root would be allowed to
            raise PermissionError(13, "Permission denied")
        return real(path, *more)

    monkeypatch.setattr(os, "open", refuse)
    (broken,) = read(tmp_path).broken
    assert (broken.kind, broken.text) == ("unreadable", "it cannot be read: Permission denied")


def test_computed_labels_keep_the_revision(tmp_path: Path):
    source(tmp_path, "x.py", HEAD + "from cli import EXPAND\nbranch_labels = (EXPAND, 'b')\n")
    seen = read(tmp_path)
    assert seen.by_id["a"].labels == ("EXPAND", "b")
    assert [(b.kind, b.id) for b in seen.broken] == [("dynamic", "a")]
    assert seen.trustworthy


def test_nothing_is_run_or_written(tmp_path: Path):
    source(tmp_path, "x.py", HEAD + "open(__file__ + '.ran', 'w')\n")
    before = sorted(tmp_path.rglob("*"))
    read(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


# --- one file twice -----------------------------------------------------------------------------


def test_one_file_through_two_locations_counts_once(tmp_path: Path):
    real = write(tmp_path / "real", "a1")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "again.py").symlink_to(real)
    seen = read(tmp_path / "real", tmp_path / "link", tmp_path / "other")
    assert [r.id for r in seen.revisions] == ["a1"]
    assert [b for _, b in seen.loaded_twice] == [
        tmp_path / "link" / "a1.py",
        tmp_path / "other" / "again.py",
    ]
    assert not seen.twins


def test_of_twins_the_last_one_read_counts(tmp_path: Path):
    write(tmp_path, "a1")
    source(tmp_path, "m.py", 'revision = "t"\ndown_revision = None\n')
    source(tmp_path, "n.py", 'revision = "t"\ndown_revision = "a1"\n')
    seen = read(tmp_path)
    assert [r.path.name for r in seen.twins["t"]] == ["m.py", "n.py"]
    assert seen.by_id["t"].path.name == "n.py"
    script = ScriptDirectory(str(tmp_path), version_locations=[str(tmp_path)])
    with pytest.warns(UserWarning, match="present more than once"):
        theirs = script.get_revision("t")
    assert Path(theirs.path).name == "n.py"


# --- bytecode -----------------------------------------------------------------------------------


def orphan(folder: Path, id: str, down: object = None, beside: bool = False) -> Path:
    path = write(folder, id, down)
    target = path.with_suffix(".pyc") if beside else Path(cache_from_source(str(path)))
    py_compile.compile(str(path), str(target), doraise=True)
    path.unlink()
    return target


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("sourceless", [True, False])
def test_bytecode_without_source(tmp_path: Path, beside: bool, sourceless: bool):
    write(tmp_path, "a1")
    path = orphan(tmp_path, "b2", ("a1",), beside)
    seen = read(tmp_path, sourceless=sourceless)
    (code,) = seen.bytecode
    assert (code.path, code.id, code.down, code.loaded) == (path, "b2", ("a1",), sourceless)
    script = ScriptDirectory(
        str(tmp_path), version_locations=[str(tmp_path)], sourceless=sourceless
    )
    assert list(seen.heads) == script.get_heads()


def test_bytecode_of_another_python_is_known_by_its_docstring(tmp_path: Path):
    write(tmp_path, "a1")
    path = orphan(tmp_path, "b2", "a1", beside=True)
    path.write_bytes(b"\x01\x02\r\n" + path.read_bytes()[4:])
    (code,) = read(tmp_path).bytecode
    assert code.id == "b2"
    seen = read(tmp_path, sourceless=True)
    assert [(b.kind, b.id) for b in seen.broken] == [("dynamic", "b2")]
    path.write_bytes(path.read_bytes()[:40])
    assert read(tmp_path).bytecode[0].id is None
    path.write_bytes(b"")
    assert read(tmp_path).bytecode[0].id is None


def test_compiled_files_need_no_second_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(revision_file, "_syntax_error", lambda data, path: asked.append(path.name))
    good = write(tmp_path, "a1")
    py_compile.compile(str(good), doraise=True)
    stale = write(tmp_path, "b2", "a1")
    py_compile.compile(str(stale), doraise=True)
    stale.write_text(stale.read_text() + "\n")
    damaged = write(tmp_path, "c3", "b2")
    Path(cache_from_source(str(damaged))).write_bytes(b"xx")
    write(tmp_path, "d4", "c3")
    read(tmp_path)
    assert asked == ["b2.py", "c3.py", "d4.py"]


# --- the graph by itself ------------------------------------------------------------------------


def node(id: str, *down: str, **more: object) -> Revision:
    facts = {"depends_on": (), "labels": (), "line": 1, "message": "", "sha": id} | more
    return Revision(id=id, down=down, path=Path(f"versions/{id}_name.py"), **facts)  # type: ignore[arg-type]  # any field


def graph(*nodes: Revision) -> History:
    return History(revisions=nodes)


def test_cycles_of_every_kind_beside_a_healthy_chain():
    seen = graph(
        *(node("a"), node("b", "a"), node("s", "s")),
        *(node("x", "z"), node("y", "x"), node("z", "y"), node("w", "z")),
        *(node("p", depends_on=("q",)), node("q", depends_on=("p",))),
    )
    assert seen.cycles == (("s",), ("x", "z", "y"), ("p", "q"))
    assert seen.heads == ("b", "w", "p", "q")
    assert seen.topological == ("a", "b")
    assert seen.ancestors("x") == {"y", "z"}
    assert seen.path_to_heads(()) == ("a", "b")


def test_missing_parents_and_dependencies():
    seen = graph(node("a", "gone"), node("b", "a", depends_on=("lost", "lab@head")))
    assert [(r.id, p) for r, p in seen.missing_parents] == [("a", "gone")]
    assert [(r.id, d) for r, d in seen.missing_dependencies] == [("b", "lost"), ("b", "lab@head")]
    assert seen.heads == ("b",)
    assert seen.closure(("b", "nobody")) == {"a", "b"}
    assert seen.ancestors("nobody") == frozenset()
    assert seen.labelled("nobody") == frozenset()


def test_ids_are_resolved_as_alembic_does(tmp_path: Path):
    for id in ("abcd1", "abcd2", "abce9", "xy"):
        write(tmp_path, id, labels=("label1",) if id == "xy" else None)
    seen = read(tmp_path)
    script = as_alembic(seen, tmp_path)
    for text in ("abcd1", "abce", "abc", "abcd", "x", "xy", "label1", "labe", "nobody"):
        try:
            theirs = script.revision_map.get_revision(text).revision
        except Exception:  # several kinds; alembic has no answer
            theirs = None
        assert seen.resolve(text) == theirs, text
    assert seen.resolve("") is None


def test_what_an_unknown_id_may_have_meant():
    seen = graph(node("3f9a2b1c7d"), node("77aa88bb99"))
    assert seen.meant_by("3f9a2b1c7d_name") == (
        *("3f9a2b1c7d", "'3f9a2b1c7d_name' is the name of its file"),
    )
    assert seen.meant_by("3f9a")[0] == "3f9a2b1c7d"
    assert seen.meant_by("3f9a2b1c7e")[0] == "3f9a2b1c7d"
    assert seen.meant_by("zzz") is None


def test_the_fingerprint_follows_content_and_not_order(tmp_path: Path):
    one, two = node("a"), node("b", "a")
    assert graph(one, two).fingerprint() == graph(two, one).fingerprint()
    assert graph(one).fingerprint() != graph(one, two).fingerprint()
    assert graph(one).fingerprint() != graph(node("a", sha="other")).fingerprint()
    source(tmp_path, "x.py", "(")
    assert read(tmp_path).fingerprint() != History(revisions=()).fingerprint()


class Counting(Mapping[str, tuple[str, ...]]):
    """Edges that count how often they are followed."""

    def __init__(self, edges: Mapping[str, tuple[str, ...]]) -> None:
        self.edges, self.asked = edges, 0

    def __getitem__(self, id: str) -> tuple[str, ...]:
        self.asked += 1
        return self.edges[id]

    def __iter__(self):
        return iter(self.edges)

    def __len__(self) -> int:
        return len(self.edges)


def ladder(rungs: int) -> History:
    """A branch and a merge at every rung, a label and a dependency now and then."""
    nodes = [node("m0", labels=("main",))]
    for i in range(rungs):
        more = {"depends_on": (f"l{i - 9}",)} if i % 10 == 9 else {}
        nodes += [node(f"l{i}", f"m{i}"), node(f"r{i}", f"m{i}", **more)]
        nodes.append(node(f"m{i + 1}", f"l{i}", f"r{i}"))
    return graph(*nodes)


def steps(rungs: int) -> dict[str, int]:
    """How often each question follows an edge, on a fresh graph of this size."""
    questions = {
        "topological": lambda h: h.topological,
        "cycles": lambda h: h.cycles,
        "closure": lambda h: h.closure(h.heads),
        "ancestors": lambda h: h.ancestors(h.heads[0]),
        "path": lambda h: h.path_to_heads((f"m{rungs // 2}",)),
        "labels": lambda h: h.labelled("m0"),
        "heads": lambda h: (h.heads, h.implied, h.unlabelled_heads),
    }
    counts = {}
    for name, ask in questions.items():
        seen = ladder(rungs)
        counted = {f: Counting(getattr(seen, f)) for f in ("parents", "followers", "children")}
        seen.__dict__.update(counted)
        ask(seen)
        counts[name] = sum(c.asked for c in counted.values())
    return counts


def test_every_question_is_linear():
    small, large = steps(300), steps(3000)
    for name, count in large.items():
        assert count <= 10.5 * small[name] + 20, name
        assert count <= 6 * 9001, name


def test_every_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for i in range(10_000):
        (tmp_path / f"r{i}.py").write_bytes(
            b'revision = "r%d"\ndown_revision = %s\n' % (i, b'"r%d"' % (i - 1) if i else b"None")
        )
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda *a, **k: opened.append(a[0]) or real(*a, **k))
    monkeypatch.setattr(revision_file, "_slow", None)  # the plain form never needs it
    seen = read(tmp_path)
    assert (len(seen.by_id), seen.heads, len(seen.topological)) == (10_000, ("r9999",), 10_000)
    assert len(opened) == len({*opened}) == 10_000
