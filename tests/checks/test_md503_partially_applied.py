"""MD503: a first part of a revision, forward and back."""

import pytest

from migdoctor.checks.md503_partially_applied import CHECK
from migdoctor.errors import NotApplicable
from migdoctor.model import Hazard, NeedsHuman, Sql
from tests.checks.placed import (
    STATEMENTS,
    add_column,
    create,
    cures,
    data,
    fact,
    index,
    only,
    placed,
    ran,
    remedies,
    stamped,
    timeline,
)
from tests.checks.stored import tmp_table
from tests.facts import healthy

FIVE = (
    create("gifts", "id"),
    index("gifts", "ix_gifts_id"),
    add_column("users", "phone"),
    add_column("orders", "gift_id"),
    create("cards", "id"),
)


def half(*statements: object, steps: int, row: str = "bbb2", **changes: object):
    told = timeline(STATEMENTS | {"ccc3": statements})
    return placed(row, at="bbb2", steps=steps, recorded=told, **changes)


@pytest.mark.parametrize(("row", "at"), [("bbb2", "bbb2"), ("ccc3", "ccc3"), ("aaa1", "ccc3")])
def test_silent_on_whole_revisions(row: str, at: str):
    assert not list(CHECK.find(placed(row, at=at)))


@pytest.mark.parametrize("rows", [(), ("zzz9",), (None, "bbb2")])
def test_silent_until_every_row_names_a_revision(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(placed(*rows, at="bbb2", steps=1)))


def test_does_not_apply_without_a_position():
    with pytest.raises(NotApplicable):
        list(CHECK.find(healthy()))


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_finishes_with_the_missing_statements_alone(steps: int):
    seen = half(*FIVE, steps=steps)
    assert f"{steps} of 5 schema changes" in only(CHECK, seen).message
    cure = remedies(CHECK, seen)["finish"]
    assert cure.default
    assert cure.hazards == ()
    assert ran(cure) == [s.sql for s in FIVE[steps:]]
    assert stamped(cure) == [("ccc3",)]


def test_shows_every_statement_with_its_state():
    seen = half(FIVE[0], data(), FIVE[2], data(), steps=1)
    lines = only(CHECK, seen).evidence[1].text.splitlines()
    assert [line.split(":")[0] for line in lines] == ["applied", "unknown", "missing", "unknown"]


def test_rows_that_were_not_changed_yet_are_asked_about():
    cure = remedies(CHECK, half(FIVE[0], data(), FIVE[2], steps=1))["finish"]
    assert not cure.default
    assert ran(cure) == [data().sql, FIVE[2].sql]
    assert Hazard.RERUNS_DATA in cure.hazards


def test_rows_that_were_changed_before_are_not_changed_again():
    found = remedies(CHECK, half(FIVE[0], data(), FIVE[2], FIVE[3], steps=2))
    assert found["finish"].default
    assert ran(found["finish"]) == [FIVE[3].sql]
    assert "rollback" not in found


def test_takes_back_what_is_new_and_empty_and_the_row_stays():
    cure = remedies(CHECK, half(*FIVE, steps=3))["rollback"]
    assert not cure.default
    assert cure.hazards == ()
    assert ran(cure) == [
        'ALTER TABLE "users" DROP COLUMN "phone"',
        'DROP INDEX "ix_gifts_id"',
        'DROP TABLE "gifts"',
    ]
    asked = [step.guard.query for step in cure.steps if isinstance(step, Sql) and step.guard]
    assert asked == [
        'SELECT count(*) FROM "users" WHERE "phone" IS NOT NULL',
        'SELECT count(*) FROM "gifts"',
    ]
    assert [step.undo for step in cure.steps if isinstance(step, Sql)] == [
        (FIVE[2].sql,),
        (FIVE[1].sql,),
        (FIVE[0].sql,),
    ]


def test_no_way_back_from_something_taken_away():
    drop = add_column("users", "gone")
    drop = type(drop)(sql="DROP", removed={fact("users", "column", "email"): "INTEGER"})
    assert "rollback" not in remedies(CHECK, half(drop, FIVE[2], steps=1))


def test_a_row_that_is_there_already_stays():
    found = remedies(CHECK, half(*FIVE, steps=2, row="ccc3"))
    assert stamped(found["finish"]) == []
    assert "rollback" not in found


def test_a_leftover_is_treated_first():
    (cure,) = cures(CHECK, half(*FIVE, steps=2, tmp_tables=(tmp_table(0, 3),)))
    assert isinstance(cure, NeedsHuman)


def test_earlier_revisions_are_recorded_first():
    (cure,) = cures(CHECK, half(*FIVE, steps=2, row="aaa1"))
    assert isinstance(cure, NeedsHuman)
    assert "MD502" in cure.why


def test_other_drift_makes_it_a_choice():
    gone = (fact("users", "column", "email"),)
    assert not remedies(CHECK, half(*FIVE, steps=3, without=gone))["finish"].default
