"""MD502: what ran and is not recorded, as far as the schema proves it."""

from dataclasses import replace

import pytest

from migdoctor.checks.md502_stamped_behind import CHECK
from migdoctor.errors import NotApplicable
from migdoctor.model import NeedsHuman
from tests.checks.placed import (
    STATEMENTS,
    add_column,
    create,
    cures,
    data,
    fact,
    history,
    only,
    placed,
    remedies,
    stamped,
    timeline,
)
from tests.facts import healthy, revision


@pytest.mark.parametrize(("row", "at"), [("aaa1", "aaa1"), ("ccc3", "ccc3"), ("ccc3", "aaa1")])
def test_silent_where_nothing_ran_beyond_the_record(row: str, at: str):
    assert not list(CHECK.find(placed(row, at=at)))


@pytest.mark.parametrize("rows", [(), ("zzz9",), ("aaa1", "zzz9"), (None,)])
def test_silent_without_a_row_and_until_every_row_names_a_revision(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(placed(*rows)))


def test_silent_on_a_part_of_the_next_revision():
    assert not list(CHECK.find(placed("aaa1", at="aaa1", steps=1)))


def test_silent_on_a_next_revision_that_changes_rows_alone():
    told = timeline(STATEMENTS | {"bbb2": (data(),)})
    assert not list(CHECK.find(placed("aaa1", at="aaa1", recorded=told)))


def test_does_not_apply_without_a_position():
    with pytest.raises(NotApplicable):
        list(CHECK.find(healthy()))


def test_moves_the_row_up_one_revision_at_a_time():
    seen = placed("aaa1")
    assert "2 revisions ran and are not recorded: bbb2 and ccc3" in only(CHECK, seen).message
    (cure,) = remedies(CHECK, seen).values()
    assert cure.default
    assert stamped(cure) == [("bbb2",), ("ccc3",)]


def test_not_one_further_than_the_schema_proves():
    (cure,) = remedies(CHECK, placed("aaa1", at="bbb2", steps=1)).values()
    assert stamped(cure) == [("bbb2",)]


def test_stops_at_rows_that_may_have_been_changed_or_not():
    told = timeline(STATEMENTS | {"ccc3": (add_column("users", "nickname"), data())})
    plain, whole = remedies(CHECK, placed("aaa1", recorded=told)).values()
    assert (plain.default, stamped(plain)) == (True, [("bbb2",)])
    assert "ccc3: it changes rows" in plain.remains
    assert (whole.default, stamped(whole)) == (False, [("bbb2",), ("ccc3",)])


def test_a_revision_of_rows_alone_below_one_that_ran_is_asked_about():
    told = timeline(STATEMENTS | {"bbb2": (data(),)})
    (whole,) = remedies(CHECK, placed("aaa1", recorded=told)).values()
    assert not whole.default
    assert stamped(whole) == [("bbb2",), ("ccc3",)]


def test_stops_where_a_part_is_not_as_it_was_made():
    seen = placed("aaa1", without=(fact("orders", "column", "total"),))
    assert "bbb2 and ccc3" in only(CHECK, seen).message
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert "bbb2: a part of what it makes" in cure.why


def test_a_branch_without_a_row_is_named():
    forest = history(
        revision("aaa1"), revision("bbb2", "aaa1"), revision("plug1", labels=("plugin",))
    )
    told = timeline(
        {"aaa1": (create("a", "x"),), "bbb2": (create("b", "x"),), "plug1": (create("p", "x"),)}
    )
    extra = told.state(["plug1"])
    seen = placed("bbb2", at="bbb2", extra=extra, history=forest, recorded=told)
    assert "plug1 (branch plugin has no row)" in only(CHECK, seen).message
    (cure,) = remedies(CHECK, seen).values()
    assert stamped(cure) == [("bbb2", "plug1")]


def test_a_merge_takes_the_rows_of_its_parents():
    forest = history(revision("aaa1"), revision("bbb2"), revision("mmm3", "aaa1", "bbb2"))
    told = timeline({id: (create(id, "x"),) for id in ("aaa1", "bbb2", "mmm3")})
    seen = placed("aaa1", "bbb2", at="mmm3", history=forest, recorded=told)
    (cure,) = remedies(CHECK, seen).values()
    assert stamped(cure) == [("mmm3",)]


def test_chosen_not_taken_where_create_all_made_it_otherwise():
    key, text = fact("users", "column", "nickname"), "VARCHAR(40)"
    whole = timeline()
    told = replace(whole, created=whole.state(whole.revisions) | {key: text})
    (cure,) = remedies(CHECK, placed("aaa1", recorded=told, extra={key: text})).values()
    assert (cure.key, cure.default) == ("advance", False)
    assert [c.default for c in remedies(CHECK, placed("aaa1", recorded=told)).values()] == [True]
