"""MD407: no row, but tables."""

import pytest

from migdoctor.checks.md407_version_table_empty import CHECK
from migdoctor.facts import Schema
from migdoctor.model import NeedsHuman
from tests.checks.stored import EMPTY, cures, history, only, stored
from tests.facts import healthy


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
