"""MD407: no row, but tables."""

import pytest

from migdoctor.checks.md407_version_table_empty import CHECK
from migdoctor.facts import Schema
from migdoctor.model import NeedsHuman, Remedy
from tests.checks.placed import create, fact, placed, timeline
from tests.checks.stored import EMPTY, after, cures, history, only, stored
from tests.facts import healthy, revision


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("row", ["ccc3", "zzz9", "", None])
def test_silent_when_there_is_a_row(row: str | None):
    assert not list(CHECK.find(stored(row)))


def test_silent_on_a_fresh_database():
    assert not list(CHECK.find(stored(schema=EMPTY)))


def test_silent_when_there_is_no_version_table_or_no_revision():
    assert not list(CHECK.find(stored(version_tables=())))
    assert not list(CHECK.find(stored(history=history())))


def test_tables_without_a_row_are_left_to_a_human():
    seen = stored()
    (cure,) = cures(CHECK, seen)
    assert "has no row, but the database holds 1 table" in only(CHECK, seen).message
    assert isinstance(cure, NeedsHuman)


def test_a_table_that_may_not_be_read_is_a_table():
    assert only(CHECK, stored(schema=Schema(facts={}, unreadable={"public.t": "locked"})))


# --- with a position


def test_the_located_row_comes_back():
    (cure,) = cures(CHECK, placed(at="bbb2"))
    assert isinstance(cure, Remedy)
    assert cure.default
    assert after(cure) == ["bbb2"]


def test_every_branch_gets_its_row():
    two = history(revision("aaa1"), revision("plug1"))
    told = timeline({"aaa1": (create("a", "x"),), "plug1": (create("p", "x"),)})
    seen = placed(at="aaa1", extra=told.state(["plug1"]), history=two, recorded=told)
    assert after(cures(CHECK, seen)[0]) == ["aaa1", "plug1"]


def test_tables_of_others_alone_are_no_position():
    extra = {fact("runs", "table"): "table"}
    seen = placed(at="none", extra=extra)
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert "nothing of the history" in cure.why
