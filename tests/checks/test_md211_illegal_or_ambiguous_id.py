"""MD211: names that alembic refuses or takes for something else."""

import pytest

from migdoctor.checks.md211_illegal_or_ambiguous_id import CHECK
from tests.checks.graphs import CHAIN, files, found, revision


@pytest.mark.parametrize("id", ["v3.2.0.a", "2024_1_contract01", "067", "add column", "ahead", "ä"])
def test_silent_about_odd_ids_that_work(id: str):
    assert not found(CHECK, files(*CHAIN, revision(id, labels=("plugin",))))


@pytest.mark.parametrize("id", ["a-1", "a@b", "a+1", "a:b"])
def test_characters_that_alembic_refuses(id: str):
    (finding,) = found(CHECK, files(*CHAIN, revision(id)))
    assert "not allowed in revision identifier" in finding.message
    assert finding.subject == id


@pytest.mark.parametrize("id", ["head", "heads", "base", ""])
def test_words_that_alembic_has_a_meaning_for(id: str):
    assert len(found(CHECK, files(*CHAIN, revision(id)))) == 1


def test_a_label_used_twice():
    seen = files(revision("a", labels=("one",)), revision("b", labels=("one",)))
    (finding,) = found(CHECK, seen)
    assert "'one' of b is already a label of a" in finding.message


def test_a_label_that_is_an_id():
    (finding,) = found(CHECK, files(*CHAIN, revision("x", labels=("aaa1",))))
    assert "'aaa1' of x is already the id of aaa1" in finding.message
