"""MD408: room for the longest id, on PostgreSQL."""

import pytest

from migdoctor.checks.md408_version_column_too_narrow import CHECK
from migdoctor.model import Remedy, Sql
from tests.checks.stored import cures, history, on_postgresql, only, statements, stored
from tests.facts import healthy, revision

LONG = "ddd4_remember_when_a_user_was_last_seen"
LINE = history(revision("aaa1"), revision(LONG, "aaa1"))


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))
    assert CHECK.dialects == ("postgresql",)


@pytest.mark.parametrize("width", [len(LONG), 255, None])
def test_silent_where_every_id_fits(width: int | None):
    assert not list(CHECK.find(on_postgresql("aaa1", width=width, history=LINE)))


def test_silent_where_no_width_counts():
    assert not list(CHECK.find(stored("aaa1", history=LINE)))


@pytest.mark.parametrize(("id", "width"), [(LONG, 64), ("x" * 90, 90)])
def test_the_column_is_widened_and_can_be_narrowed_again(id: str, width: int):
    seen = on_postgresql("aaa1", history=history(revision("aaa1"), revision(id, "aaa1")))
    (cure,) = cures(CHECK, seen)
    alter = 'ALTER TABLE "public"."alembic_version" ALTER COLUMN version_num TYPE VARCHAR'
    assert statements(cure) == [f"{alter}({width})"]
    assert isinstance(cure, Remedy)
    assert isinstance(cure.steps[0], Sql)
    assert cure.steps[0].undo == (f"{alter}(32)",)
    assert cure.hazards == ()
    assert f"VARCHAR(32), but {id} has {len(id)}" in only(CHECK, seen).message
