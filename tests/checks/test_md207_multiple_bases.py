"""MD207: several beginnings are by design where something tells them apart."""

import pytest

from migdoctor.checks.md207_multiple_bases import CHECK
from migdoctor.model import NeedsHuman, Observation, Remedy
from tests.checks.graphs import CHAIN, changed, cures, files, found, revision, version, written


@pytest.mark.parametrize(
    "more",
    [
        (),
        (revision("x1", labels=("plugin",)),),
        (revision("x1"), revision("x2", "x1", labels=("plugin",))),
        (revision("x1", depends_on=("ccc3",)),),
        (revision("x1", "gone9"),),
    ],
    ids=["one", "labelled", "labelled above", "with a dependency", "parent missing"],
)
def test_silent_by_design(more: tuple):
    assert not found(CHECK, files(*CHAIN, *more))


def test_two_plain_beginnings():
    (finding,) = found(CHECK, files(*CHAIN, revision("stray")))
    assert "2 beginnings, aaa1, stray" in finding.message
    assert finding.path is not None
    assert finding.path.name == "stray.py"


STRAY = revision("notes1", message="Create notes!")


def keys(seen: Observation) -> list[str]:
    return [cure.key for cure in cures(CHECK, seen) if isinstance(cure, Remedy)]


def test_the_parent_that_git_knows_is_put_back():
    past = {"notes1": (version(STRAY, "ccc3"), version(STRAY))}
    (remedy,) = cures(CHECK, written(*CHAIN, STRAY, rows=("ccc3",), versions=past))
    assert changed(remedy) == {"notes1": ['down_revision = "ccc3"']}


@pytest.mark.parametrize("down", ["gone9", "notes2"], ids=["unknown", "its own child"])
def test_a_parent_that_cannot_be_one_is_not(down: str):
    past = {"notes1": (version(STRAY, down), version(STRAY))}
    history = (*CHAIN, STRAY, revision("notes2", "notes1"))
    seen = written(*history, rows=("ccc3",), versions=past)
    assert isinstance(cures(CHECK, seen)[0], NeedsHuman)


def test_a_beginning_that_ran_here_gets_a_label():
    joined = (*CHAIN, STRAY, revision("m", "ccc3", "notes1"))
    (remedy,) = cures(CHECK, written(*joined, rows=("m",)))
    assert changed(remedy) == {"notes1": ['branch_labels = "create_notes"']}
    named = (*joined, revision("create_notes", "m"))
    (remedy,) = cures(CHECK, written(*named, rows=("create_notes",)))
    assert changed(remedy) == {"notes1": ['branch_labels = "from_notes1"']}


def test_one_that_did_not_run_here_is_for_its_author():
    human, top, label = cures(CHECK, written(*CHAIN, STRAY, rows=("ccc3",)))
    assert isinstance(human, NeedsHuman)
    assert isinstance(top, Remedy)
    assert isinstance(label, Remedy)
    assert changed(top) == {"notes1": ['down_revision = "ccc3"']}
    assert (top.default, label.default) == (False, False)


def test_what_another_database_may_have_stays_where_it_is():
    assert keys(written(*CHAIN, STRAY, rows=("notes1",))) == ["label"]
    joined = (*CHAIN, STRAY, revision("m", "ccc3", "notes1"))
    assert keys(written(*joined, rows=("ccc3",))) == ["label"]
    aside = (*CHAIN, STRAY, revision("m", "bbb2", "notes1"))
    assert keys(written(*aside, rows=("ccc3",))) == ["label"]
    fork = (*CHAIN, revision("x", "bbb2"), STRAY)
    assert keys(written(*fork, rows=("ccc3",))) == ["label"]


def test_the_longer_line_keeps_its_beginning():
    history = (STRAY, *CHAIN)
    (_, top, _) = cures(CHECK, written(*history, rows=("ccc3",)))
    assert changed(top) == {"notes1": ['down_revision = "ccc3"']}
