"""MD504: a gap in what ran, and what is none."""

import pytest

from migdoctor.checks.md501_stamped_past import CHECK as PAST
from migdoctor.checks.md504_skipped_in_the_middle import CHECK
from migdoctor.errors import NotApplicable
from tests.checks.placed import (
    GONE,
    STATEMENTS,
    THREE,
    add_column,
    create,
    data,
    fact,
    only,
    placed,
    ran,
    remedies,
    timeline,
)
from tests.facts import healthy

ORDERS = tuple(key for statement in STATEMENTS["bbb2"] for key in statement.added)


@pytest.mark.parametrize(("row", "at"), [("ccc3", "ccc3"), ("ccc3", "aaa1"), ("aaa1", "ccc3")])
def test_silent_where_nothing_later_ran(row: str, at: str):
    assert not list(CHECK.find(placed(row, at=at)))


def test_silent_when_only_a_part_is_missing():
    assert not list(CHECK.find(placed("ccc3", without=ORDERS[:1])))


def test_silent_when_a_later_revision_took_it_away():
    dropped = type(data())(sql="DROP", removed={fact("users", "column", "x"): "TEXT"})
    statements = STATEMENTS | {
        "bbb2": (add_column("users", "x"),),
        "ccc3": (dropped, create("notes", "id")),
    }
    assert not list(CHECK.find(placed("ccc3", recorded=timeline(statements))))


def test_does_not_apply_without_a_position():
    with pytest.raises(NotApplicable):
        list(CHECK.find(healthy()))


def test_runs_the_skipped_revision_and_no_later_one():
    seen = placed("ccc3", without=ORDERS)
    assert "1 revision in the middle never ran, later ones did: bbb2" in only(CHECK, seen).message
    (cure,) = remedies(CHECK, seen).values()
    assert cure.default
    assert ran(cure) == [s.sql for s in STATEMENTS["bbb2"]]
    assert not list(PAST.find(seen))


def test_found_where_both_nearest_states_are_wrong():
    seen = placed("ccc3", recorded=THREE, without=GONE)
    assert seen.position.certainty == "unknown"
    assert only(CHECK, seen).certainty == "likely"
    assert remedies(CHECK, seen)["run"].default


def test_rows_are_not_changed_unasked():
    statements = STATEMENTS | {"bbb2": (*STATEMENTS["bbb2"], data())}
    seen = placed("ccc3", without=ORDERS, recorded=timeline(statements))
    assert [cure.default for cure in remedies(CHECK, seen).values()] == [False]


def test_with_more_that_is_wrong_it_is_a_choice():
    seen = placed("ccc3", without=(*ORDERS, fact("users", "column", "email")))
    assert not remedies(CHECK, seen)["run"].default
