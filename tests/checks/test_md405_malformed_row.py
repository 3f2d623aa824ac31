"""MD405: an id badly written is written exactly; a blank never decides anything."""

import pytest

from migdoctor.checks.md405_malformed_row import CHECK
from migdoctor.model import NeedsHuman
from tests.checks.stored import after, cures, history, only, statements, stored
from tests.facts import healthy, revision


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("row", ["aaa1", "zzz9", "ZZZ9 ", "aaa", "a aa1", "aaa1."])
def test_silent_on_what_is_known_or_is_no_id_at_all(row: str):
    assert not list(CHECK.find(stored(row)))


def test_silent_when_two_ids_differ_in_case_only():
    twins = history(revision("Ab12"), revision("aB12", "Ab12"))
    assert not list(CHECK.find(stored("AB12", history=twins)))
    assert not list(CHECK.find(stored("Ab12", history=twins)))


@pytest.mark.parametrize("row", ["AAA1 ", "aaa1\n", "\taaa1", "Aaa1", "aaa1\r\n"])
def test_white_space_and_case_are_mended(row: str):
    seen = stored(row)
    (cure,) = cures(CHECK, seen)
    assert repr(row) in only(CHECK, seen).message
    assert after(cure) == ["aaa1"]


def test_the_statement_names_the_exact_value():
    (cure,) = cures(CHECK, stored("AAA1 "))
    update = "UPDATE \"alembic_version\" SET version_num = 'aaa1' WHERE version_num = 'AAA1 '"
    assert statements(cure) == [update]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ((None, "ccc3"), ["ccc3"]),
        (("", "ccc3", " "), ["ccc3"]),
        ((None, "AAA1 "), ["aaa1"]),
        (("aaa1", "AAA1 "), ["aaa1"]),
        (("AAA1", "aaa1 ", "zzz9"), ["zzz9", "aaa1"]),
        ((None, "ccc3", "ccc3"), ["ccc3", "ccc3"]),
    ],
)
def test_blanks_go_beside_a_good_row_and_nothing_is_listed_twice(
    rows: tuple[str | None, ...], kept: list[str | None]
):
    (cure,) = cures(CHECK, stored(*rows))
    assert after(cure) == kept


@pytest.mark.parametrize("rows", [(None,), ("",), (" \n",), (None, ""), (None, "zzz9")])
def test_blanks_without_a_good_row_are_left_to_a_human(rows: tuple[str | None, ...]):
    (cure,) = cures(CHECK, stored(*rows))
    assert isinstance(cure, NeedsHuman)
