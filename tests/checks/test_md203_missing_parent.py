"""MD203: a parent that no file has."""

from migdoctor.checks.md203_missing_parent import CHECK
from tests.checks.graphs import CHAIN, broken, files, found, revision, why

GONE = revision("ddd4", "gone9")


def test_silent_when_every_parent_is_there():
    assert not found(CHECK, files(*CHAIN))


def test_silent_when_the_parent_is_a_file_that_cannot_be_read():
    assert not found(CHECK, files(*CHAIN, GONE, broken=(broken("gone9.py", id="gone9"),)))


def test_the_missing_parent_is_named():
    (finding,) = found(CHECK, files(*CHAIN, GONE))
    assert (finding.subject, finding.certainty, finding.line) == ("ddd4", "certain", 8)
    assert "KeyError: 'gone9'" in finding.message
    assert finding.evidence[0].text == "revision = 'ddd4'\ndown_revision = 'gone9'"


def test_an_unread_file_without_an_id_makes_it_less_sure():
    (finding,) = found(CHECK, files(*CHAIN, GONE, broken=(broken("odd.py"),)))
    assert finding.certainty == "likely"
    assert "unread odd.py" in finding.help


def test_a_file_name_taken_for_an_id_is_recognised():
    seen = files(revision("3f9a2b", name="0042_add_col"), revision("x", "0042_add_col"))
    (finding,) = found(CHECK, seen)
    assert "It may mean 3f9a2b: '0042_add_col' is the name of its file." in finding.help
    assert "nearest: 3f9a2b" in why(CHECK, seen)


def test_both_missing_parents_of_a_merge():
    assert len(found(CHECK, files(*CHAIN, revision("m", "x1", "y1")))) == 2
