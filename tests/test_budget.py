"""What a quick look costs does not grow with the number of tables; exact counts, no times."""

import pytest

from tests.bench.statements import CEILINGS, TABLES, counted, round_trips


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_same_statements_for_few_and_for_many_tables(dialect: str) -> None:
    few, many = (counted(dialect, tables) for tables in TABLES)
    assert len(few) > 1
    assert few == many
    assert len(many) <= CEILINGS[dialect]


def test_round_trips_do_not_depend_on_the_number_of_tables() -> None:
    few, many = map(round_trips, TABLES)
    assert few == many
    # Signing on takes some.
    assert CEILINGS["postgresql"] / 2 < many <= 20
