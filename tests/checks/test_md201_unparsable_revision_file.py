"""MD201: what Python can compile and what is computed are not its business."""

from pathlib import Path
from typing import Any

import pytest

from migdoctor.checks.md201_unparsable_revision_file import CHECK
from migdoctor.errors import NotObserved
from migdoctor.facts import Sound
from migdoctor.model import Cure, EditFile, MoveFile, Observation, Remedy
from tests.checks.graphs import CHAIN, broken, cures, files, found, revision, table, why


def test_silent_when_every_file_is_read():
    assert not found(CHECK, files(*CHAIN))


def test_silent_about_computed_identifiers():
    assert not found(CHECK, files(*CHAIN, broken=(broken("x.py", "dynamic"),)))


def test_each_broken_file_is_named_with_its_line():
    seen = files(*CHAIN, broken=(broken("d.py"), broken("e.py", "binary", "eee5", None)))
    first, second = found(CHECK, seen)
    assert (first.subject, first.line, first.path) == ("d.py", 3, seen.history.broken[0].path)
    assert first.message.startswith("d.py line 3: invalid syntax.")
    assert second.message.startswith("e.py: ")
    assert second.evidence[0].text == "by its text it is revision eee5"


TEXT = "revision = 'ddd4'\ndown_revision = 'ccc3'\n\n\ndef upgrade():\n    op.do('x')\n"
OPEN = TEXT.replace(
    "    op.do('x')\n", "<<<<<<< HEAD\n    op.do('x')\n=======\n    {}\n>>>>>>> other\n"
)
PATH = Path("versions/d.py")


def sick(now: str, kind: str = "syntax", **more: Any) -> Observation:
    """d.py is broken; git's version of it is TEXT, committed before it was broken."""
    told = {"id": "ddd4", "down": ("ccc3",), "text": TEXT, "where": "commit c1, 2024-01-01"}
    flags = {"here": True, "kept": True} | more.pop("git", {})
    sound = {PATH: Sound(**(told | flags))}  # type: ignore[arg-type]  # any field
    facts = {"broken": (broken("d.py", kind, "ddd4"),), "texts": {PATH: now}, "sound": sound}
    return files(*more.pop("revisions", CHAIN), **(facts | more))


def after(cure: Cure) -> str:
    """The text that a remedy leaves behind."""
    assert isinstance(cure, Remedy)
    (step,) = cure.steps
    assert isinstance(step, EditFile)
    assert step.path == PATH
    return step.after or ""


def keys(seen: Observation) -> list[str]:
    """Of all remedies; the default one is in capitals."""
    remedies = [cure for cure in cures(CHECK, seen) if isinstance(cure, Remedy)]
    return [r.key.upper() if r.default else r.key for r in remedies]


@pytest.mark.parametrize(
    "seen",
    [
        sick("def (", version_tables=(table("ddd4"),)),
        sick("def (", version_tables=(table("e5"),), revisions=(*CHAIN, revision("e5", "ddd4"))),
        sick(OPEN.format("op.do('y'")),
        sick(TEXT[:60], git={"kept": False}),
        sick("\0" * 80, "binary", git={"kept": False}),
        sick(TEXT[:-1], revisions=(*CHAIN, revision("ddd4", "ccc3", name="d"))),
    ],
    ids=["it ran", "a later one ran", "conflict", "broken off", "zeros", "sound head"],
)
def test_the_last_version_that_can_be_loaded_comes_back(seen: Observation):
    (remedy,) = cures(CHECK, seen)
    assert keys(seen) == ["RESTORE"]
    assert after(remedy) == TEXT


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (sick("op.new(", git={"kept": False}), "never committed"),
        (sick("op.new("), "has not run here"),
        (sick("def (", git={"here": False}), "on this branch it never could be loaded"),
        (
            sick("def (", revisions=(*CHAIN, revision("ddd4", "bbb2", name="d"))),
            "its parent was changed",
        ),
    ],
    ids=["not committed", "pending", "another branch", "other parent"],
)
def test_it_is_a_choice_where_something_may_be_lost(seen: Observation, said: str):
    assert keys(seen) == ["restore"]
    assert said in why(CHECK, seen)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (sick("def (", sound={}), "never delete it"),
        (sick("def (", revisions=(*CHAIN, revision("ddd4", "ccc3"))), "ddd4.py is ddd4 by now"),
        (sick("def (", git={"down": ("gone9",)}), "follows gone9 there"),
        (sick("def (", revisions=(revision("ccc3", "ddd4"),)), "after what comes after it"),
        (sick("def (").without("sound", NotObserved("sound", "no git")), "known: no git"),
        (sick("def (", texts={}), "cannot be read"),
        (
            sick("def (", writable_files=False),
            f"put this there, from commit c1, 2024-01-01:\n{TEXT}",
        ),
    ],
    ids=["never sound", "renamed", "parent gone", "loop", "no git", "unreadable", "read only"],
)
def test_it_is_left_to_a_person(seen: Observation, said: str):
    assert keys(seen) == []
    assert said in why(CHECK, seen)


def test_utf_16_says_itself_what_it_is():
    now = TEXT.encode("utf-16").decode("utf-8", "surrogateescape")
    seen = sick(now, "encoding", sound={})
    assert keys(seen) == ["UTF-8"]
    assert after(cures(CHECK, seen)[0]) == TEXT
    assert keys(sick("\udcff\udcfe\0", "encoding", sound={})) == []


def test_a_conflict_between_two_that_do_the_same_is_settled():
    seen = sick(OPEN.format("op.do('x')  # quickly"), sound={})
    assert keys(seen) == ["OURS", "THEIRS"]
    assert after(cures(CHECK, seen)[0]) == TEXT


def test_a_conflict_about_the_parent_is_a_choice():
    head, body = TEXT.split("down_revision = 'ccc3'\n")
    parents = "<<<<<<< HEAD\ndown_revision = 'ccc3'\n=======\ndown_revision = 'bbb2'\n>>>>>>> x\n"
    assert keys(sick(head + parents + body, sound={})) == ["ours", "theirs"]


def test_a_conflict_between_two_that_differ_is_a_choice():
    seen = sick(OPEN.format("op.do('y')"), sound={})
    assert keys(seen) == ["ours", "theirs"]
    assert after(cures(CHECK, seen)[2]) == TEXT.replace("'x'", "'y'")
    assert keys(sick(OPEN.format("op.do("))) == ["RESTORE"]
    assert keys(known := sick(OPEN.format("op.do('y')"))) == ["theirs", "restore"]
    assert "neither side" in why(CHECK, known)
    ran = sick(OPEN.format("op.do('y')"), version_tables=(table("ddd4"),))
    assert keys(ran) == ["RESTORE", "theirs"]


HELPER = "import sqlalchemy as sa\n\n\ndef phone():\n    return sa.Column('phone')\n"


def test_a_helper_module_becomes_a_package():
    (remedy,) = cures(CHECK, sick(HELPER, "missing", sound={}))
    assert isinstance(remedy, Remedy)
    (step,) = remedy.steps
    assert isinstance(step, MoveFile)
    assert step.to == Path("versions/d/__init__.py")


@pytest.mark.parametrize(
    "text",
    [
        "from . import other\n",
        "HERE = __file__\n",
        "def upgrade():\n    pass\n",
        "revision = 7\n",
        "def (",
        "",
        "import sqlalchemy as sa\n",
        '"""Revision ID: ddd4"""\nX = 1\n',
    ],
)
def test_what_would_not_be_the_same_as_a_package_stays(text: str):
    assert keys(sick(text, "missing", sound={})) == []


def test_what_was_a_revision_is_no_helper():
    assert keys(sick(HELPER, "missing")) == ["restore"]


def test_a_helper_that_a_revision_names_by_its_file_stays():
    texts = {PATH: HELPER, Path("versions/ccc3.py"): "runpy.run_path('versions/d.py')"}
    assert keys(sick(HELPER, "missing", sound={}, texts=texts)) == []
