"""MD204: revisions that come before themselves."""

from migdoctor.checks.md204_cycle import CHECK
from tests.checks.graphs import CHAIN, files, found, revision, why

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
