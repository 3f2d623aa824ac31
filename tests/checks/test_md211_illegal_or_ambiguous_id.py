"""MD211: names that alembic refuses or takes for something else."""

from dataclasses import replace
from typing import Any

import pytest

from migdoctor.checks.md211_illegal_or_ambiguous_id import CHECK
from migdoctor.errors import NotObserved
from migdoctor.model import Hazard, NeedsHuman, Remedy, Stamp
from tests.checks.graphs import (
    CHAIN,
    broken,
    changed,
    cures,
    files,
    found,
    lost,
    revision,
    why,
    written,
)


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


DASHED = (*CHAIN, revision("d-4", "ccc3"), revision("e5", "d-4", depends_on=("d-4",)))


def test_an_id_that_no_alembic_took_is_renamed_wherever_it_stands():
    (remedy,) = cures(CHECK, written(*DASHED, rows=("ccc3",)))
    assert isinstance(remedy, Remedy)
    assert changed(remedy) == {
        "d-4": ["revision = 'd_4'"],
        "e5": ["down_revision = 'd_4'", "depends_on = 'd_4'"],
    }
    assert remedy.hazards == ()


@pytest.mark.parametrize(
    "more",
    [
        {"revisions": (*DASHED, revision("d-4", "ccc3", name="twin"))},
        {"revisions": (*DASHED, revision("x", "gone9"))},
        {"broken": (broken("y.py"),)},
    ],
    ids=["twins", "missing parent", "unread"],
)
def test_it_waits_for_what_may_name_it_too(more: dict[str, Any]):
    history = more.pop("revisions", DASHED)
    assert "first (MD20" in why(CHECK, written(*history, rows=("ccc3",), **more))


def test_a_name_that_is_taken_is_not_given_twice():
    (remedy,) = cures(CHECK, written(*CHAIN, revision("d-4", "ccc3"), revision("d_4", "d-4")))
    ((line,), (parent,)) = changed(remedy).values()
    assert line.removeprefix("revision = ") == parent.removeprefix("down_revision = ")
    assert "d_4" not in line


def test_the_id_by_which_others_know_the_file_is_given_back():
    seen = written(*CHAIN, revision("d-4", "ccc3"), revision("e5", "old9"), rows=("ccc3",))
    there = replace(lost("old9"), files=(replace(lost("old9").files[0], to=DASHED[3].path),))
    remedy, *_ = cures(CHECK, seen.having(sightings={"old9": there}))
    assert changed(remedy) == {"d-4": ["revision = 'old9'"]}


def test_a_row_that_holds_it_changes_with_the_files_and_never_unasked():
    human, remedy = cures(CHECK, written(*DASHED, rows=("d-4",)))
    assert isinstance(human, NeedsHuman)
    assert isinstance(remedy, Remedy)
    assert not remedy.default
    assert remedy.steps[-1] == Stamp(
        table=("main", "alembic_version"), before=("d-4",), after=("d_4",)
    )
    assert remedy.hazards == (Hazard.REWRITES_HISTORY,)


@pytest.mark.parametrize("id", ["a:b", "head", ""])
def test_what_some_alembic_took_is_a_choice(id: str):
    _, remedy = cures(CHECK, written(*CHAIN, revision(id, "ccc3", name="x"), rows=("ccc3",)))
    assert isinstance(remedy, Remedy)
    assert (remedy.default, remedy.hazards) == (False, (Hazard.REWRITES_HISTORY,))


def test_without_a_look_at_the_rows_it_is_a_choice():
    blind = written(*DASHED).without("version_tables", NotObserved("version_tables", "no"))
    assert isinstance(cures(CHECK, blind)[0], NeedsHuman)


def test_a_label_stays_where_its_branch_begins():
    a, b = revision("a", labels=("one",)), revision("b", "a", labels=("one", "two"))
    for order in ((a, b), (b, a)):
        (remedy,) = cures(CHECK, written(*order))
        assert changed(remedy) == {"b": ["branch_labels = 'two'"]}


def test_a_label_of_two_lines_is_for_their_authors():
    a, b = revision("a", labels=("one",)), revision("b", labels=("one",))
    human, remedy = cures(CHECK, written(a, b))
    assert isinstance(human, NeedsHuman)
    assert isinstance(remedy, Remedy)
    assert not remedy.default
    assert changed(remedy) == {"b": ["branch_labels = None"]}
    assert "cannot be edited" in why(CHECK, written(a, b, writable_files=False))
    assert "no source" in why(CHECK, written(a, b, texts={}))
