"""MD402: an ancestor goes, everything else stays."""

import pytest

from migdoctor.checks.md402_overlapping_rows import CHECK
from migdoctor.model import Remedy, Severity
from tests.checks.stored import after, cures, history, only, statements, stored
from tests.facts import healthy, revision

FORKED = history(
    revision("aaa1"),
    revision("left1", "aaa1"),
    revision("right1", "aaa1"),
    revision("right2", "right1", depends_on=("left1",)),
)


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize(
    "rows", [(), ("aaa1",), ("ccc3", "ccc3"), ("zzz9", "ccc3"), ("AAA1 ", "ccc3"), (None, "ccc3")]
)
def test_silent_without_an_ancestor(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(stored(*rows)))


def test_silent_on_two_branches():
    assert not list(CHECK.find(stored("left1", "right1", history=FORKED)))


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (("aaa1", "bbb2"), ["bbb2"]),
        (("ccc3", "aaa1", "bbb2"), ["ccc3"]),
        (("bbb2", "aaa1", "aaa1", "bbb2"), ["bbb2", "bbb2"]),
        (("bbb2", "aaa1", "zzz9", None), ["bbb2", "zzz9", None]),
    ],
)
def test_the_ancestors_go_by_exact_value(rows: tuple[str | None, ...], kept: list[str | None]):
    (cure,) = cures(CHECK, stored(*rows))
    assert after(cure) == kept


def test_the_statement():
    (cure,) = cures(CHECK, stored("aaa1", "bbb2"))
    assert statements(cure) == ["DELETE FROM \"alembic_version\" WHERE version_num = 'aaa1'"]
    assert "aaa1 is listed beside its descendant bbb2" in cure.finding.message


def test_a_row_implied_through_depends_on_is_worth_knowing_only():
    seen = stored("left1", "right2", history=FORKED)
    (cure,) = cures(CHECK, seen)
    assert only(CHECK, seen).severity is Severity.INFO
    assert isinstance(cure, Remedy)
    assert (cure.key, cure.default, after(cure)) == ("implied", False, ["right2"])


def test_nothing_is_removed_inside_a_cycle():
    knot = history(revision("x1", "y1"), revision("y1", "x1"))
    assert not list(CHECK.find(stored("x1", "y1", history=knot)))
