"""MD406: a beginning of exactly one id, made whole; the column is widened first."""

import pytest

from migdoctor.checks.md406_truncated_row import CHECK
from tests.checks.stored import after, cures, history, on_postgresql, only, statements
from tests.checks.stored import stored as stored_short
from tests.facts import healthy, revision

LONG = "ddd4_remember_when_a_user_was_last_seen"
CUT = LONG[:32]
LINE = history(revision("aaa1"), revision(LONG, "aaa1"), revision("eee5", LONG))


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("row", ["aaa1", LONG, LONG + "x", "zzz9", "", None, "AAA1", LONG[4:]])
def test_silent_on_what_is_no_beginning(row: str | None):
    assert not list(CHECK.find(stored_short(row, history=LINE)))


def test_silent_when_several_ids_begin_so():
    two = history(revision(LONG), revision(CUT + "_too", LONG))
    assert not list(CHECK.find(stored_short(CUT, history=two)))


@pytest.mark.parametrize(("row", "certainty"), [(CUT, "certain"), ("ddd4", "likely")])
def test_certain_at_the_width_of_a_column(row: str, certainty: str):
    seen = stored_short(row, history=LINE)
    (cure,) = cures(CHECK, seen)
    assert only(CHECK, seen).certainty == certainty
    assert after(cure) == [LONG]


def test_certain_at_the_width_of_this_column():
    assert only(CHECK, on_postgresql(LONG[:20], width=20, history=LINE)).certainty == "certain"


def test_a_second_row_stays_and_the_whole_id_is_not_listed_twice():
    (cure,) = cures(CHECK, stored_short(CUT, "eee5", history=LINE))
    assert after(cure) == ["eee5", LONG]
    (cure,) = cures(CHECK, stored_short(CUT, LONG, history=LINE))
    assert after(cure) == [LONG]


def test_on_postgresql_a_narrow_column_is_widened_first():
    (cure,) = cures(CHECK, on_postgresql(CUT, history=LINE))
    widen, update = statements(cure, "postgresql")
    assert widen == (
        'ALTER TABLE "public"."alembic_version" ALTER COLUMN version_num TYPE VARCHAR(64)'
    )
    assert update.endswith(f"SET version_num = '{LONG}' WHERE version_num = '{CUT}'")


def test_on_postgresql_a_wide_column_is_left_alone():
    (cure,) = cures(CHECK, on_postgresql(CUT, width=64, history=LINE))
    assert len(statements(cure, "postgresql")) == 1
