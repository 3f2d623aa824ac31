"""MD403: one row of each stays."""

import pytest

from migdoctor.checks.md403_duplicate_rows import CHECK
from tests.checks.stored import after, cures, only, statements, stored
from tests.facts import healthy


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize(
    "rows", [(), ("aaa1", "bbb2"), ("aaa1", "AAA1 "), (None, None, "aaa1"), ("", "", "aaa1")]
)
def test_silent_on_rows_that_differ_and_on_blanks(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(stored(*rows)))


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (("bbb2", "bbb2"), ["bbb2"]),
        (("zzz9", "zzz9", "zzz9"), ["zzz9"]),
        (("aaa1", "bbb2", "aaa1", None, None), ["aaa1", "bbb2", None, None]),
    ],
)
def test_each_stays_once(rows: tuple[str | None, ...], kept: list[str | None]):
    (cure,) = cures(CHECK, stored(*rows))
    assert after(cure) == kept


def test_one_of_three_rows_survives_the_statement():
    (cure,) = cures(CHECK, stored("bbb2", "bbb2", "bbb2"))
    (sql,) = statements(cure)
    assert sql.endswith("LIMIT 1)")
    assert "rowid NOT IN" in sql


def test_the_message_counts():
    assert "'bbb2' 3 times" in only(CHECK, stored("bbb2", "bbb2", "bbb2")).message
