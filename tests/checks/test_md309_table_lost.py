"""MD309: nothing here and nothing there."""

import pytest

from migdoctor.checks.md309_table_lost import CHECK
from migdoctor.model import NeedsHuman
from tests.checks.stored import cures, left, only, tmp_table
from tests.facts import healthy


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize(("rows", "original"), [(0, 0), (0, 3), (1, None), (3, 3), (3, 0)])
def test_silent_while_there_is_a_table_or_a_row(rows: int, original: int | None):
    assert not list(CHECK.find(left(tmp_table(rows, original))))


def test_both_gone_needs_a_backup():
    seen = left(tmp_table(0, None))
    (cure,) = cures(CHECK, seen)
    assert "users is gone and _alembic_tmp_users" in only(CHECK, seen).message
    assert isinstance(cure, NeedsHuman)
    assert "backup" in cure.why
