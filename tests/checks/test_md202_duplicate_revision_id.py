"""MD202: two files, one id."""

from migdoctor.checks.md202_duplicate_revision_id import CHECK
from tests.checks.graphs import CHAIN, files, found, revision, why

TWINS = (*CHAIN, revision("ccc3", "bbb2", name="late"))


def test_silent_when_ids_are_unique():
    assert not found(CHECK, files(*CHAIN))


def test_silent_about_one_file_through_two_locations():
    twice = ((CHAIN[0].path, CHAIN[1].path),)
    assert not found(CHECK, files(*CHAIN, loaded_twice=twice))


def test_the_last_file_counts_and_the_others_never_run():
    (finding,) = found(CHECK, files(*TWINS))
    assert finding.subject == "ccc3"
    assert finding.message.endswith("alembic keeps late.py and never runs ccc3.py")
    assert len(finding.evidence[0].text.splitlines()) == 2


def test_which_one_ran_is_for_a_person_to_see():
    assert "at or beyond ccc3" in why(CHECK, files(*TWINS, rows=("ccc3",)))
    assert "has not reached ccc3" in why(CHECK, files(*TWINS, rows=("bbb2",)))
