"""MD204: revisions that come before themselves."""

from migdoctor.checks.md204_cycle import CHECK
from migdoctor.model import NeedsHuman, Remedy
from tests.checks.graphs import (
    CHAIN,
    changed,
    cures,
    files,
    found,
    revision,
    version,
    why,
    written,
)

RING = (revision("xx1", "zz3"), revision("yy2", "xx1"), revision("zz3", "yy2"))


def test_silent_on_branches_and_merges():
    seen = files(*CHAIN, revision("b3", "bbb2"), revision("m", "ccc3", "b3"))
    assert not found(CHECK, seen)


def test_a_cycle_beside_a_healthy_chain():
    (finding,) = found(CHECK, files(*CHAIN, *RING))
    assert finding.subject == "xx1 yy2 zz3"
    assert finding.message.startswith("xx1 -> zz3 -> yy2 -> xx1: ")
    assert len(finding.evidence[0].text.splitlines()) == 3


def test_a_self_loop_and_a_dependency_loop():
    loops = (
        *(revision("s", "s"), revision("p", depends_on=("q",))),
        revision("q", depends_on=("p",)),
    )
    assert [f.subject for f in found(CHECK, files(*loops))] == ["s", "p q"]


def test_the_file_that_this_database_has_is_left_alone():
    said = why(CHECK, files(*RING, rows=("xx1",)))
    assert "yy2.py" in said
    assert "zz3.py" in said
    assert "xx1.py" not in said


def test_a_twin_that_closes_the_loop_is_named():
    twins = (revision("aaa1"), revision("bbb2", "aaa1"), revision("aaa1", "bbb2", name="copy"))
    assert "copy.py (MD202)" in why(CHECK, files(*twins))


def test_the_parent_of_the_earlier_commit_is_put_back():
    ring = (*CHAIN, revision("ddd4", "eee5"), revision("eee5", "ddd4"))
    past = {"ddd4": (version(ring[3], "ccc3"),), "eee5": (version(ring[4], "ddd4"),)}
    (remedy,) = cures(CHECK, written(*ring, rows=("ccc3",), versions=past))
    assert isinstance(remedy, Remedy)
    assert changed(remedy) == {"ddd4": ["down_revision = 'ccc3'"]}
    applied = written(*ring, rows=("ddd4",), versions=past)
    assert isinstance(cures(CHECK, applied)[0], NeedsHuman)


def test_a_self_loop_goes_on_top_of_the_only_head_of_the_others():
    seen = written(*CHAIN, revision("ddd4", "ddd4"), revision("eee5", "ddd4"), rows=("ccc3",))
    (remedy,) = cures(CHECK, seen)
    assert isinstance(remedy, Remedy)
    assert changed(remedy) == {"ddd4": ["down_revision = 'ccc3'"]}
    refused = written(*CHAIN, revision("d-4", "ccc3"), revision("x", "x"), rows=("ccc3",))
    assert isinstance(cures(CHECK, refused)[0], NeedsHuman)  # that one gets another id first
    fork = written(*CHAIN, revision("x", "bbb2"), revision("ddd4", "ddd4"), rows=("ccc3",))
    assert isinstance(cures(CHECK, fork)[0], NeedsHuman)
