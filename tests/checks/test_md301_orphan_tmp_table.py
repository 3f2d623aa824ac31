"""MD301: dropped when empty, put aside when full, silent where the rows are nowhere else."""

import pytest

from migdoctor.checks.md301_orphan_tmp_table import CHECK
from migdoctor.facts import FactKey, Quarantined, Schema
from migdoctor.model import Hazard, NeedsHuman, Remedy, Sql
from tests.checks.stored import cures, left, only, statements, tmp_table
from tests.facts import healthy

LONG = "customer_subscription_renewal_reminders_archive"
CUT_NAME = f"_alembic_tmp_{LONG}"[:50]


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize(("rows", "original"), [(3, None), (0, None), (3, 2), (1, 0)])
def test_silent_when_the_rows_are_not_in_the_original(rows: int, original: int | None):
    assert not list(CHECK.find(left(tmp_table(rows, original))))


@pytest.mark.parametrize("original", [0, 3])
def test_an_empty_one_beside_an_original_is_dropped(original: int):
    seen = left(tmp_table(0, original))
    finding, (cure,) = only(CHECK, seen), cures(CHECK, seen)
    assert finding.certainty == "certain"
    assert f"users is there with {original} rows" in finding.message
    assert statements(cure) == ['DROP TABLE "_alembic_tmp_users"']


def test_the_drop_is_guarded_and_saves_the_text_of_the_table():
    (cure,) = cures(CHECK, left(tmp_table(0, 3)))
    assert isinstance(cure, Remedy)
    (step,) = cure.steps
    assert isinstance(step, Sql)
    assert step.undo == (tmp_table(0, 3).ddl,)
    assert step.guard
    assert step.guard.answer == "0 rows beside 1 original"
    assert cure.hazards == ()


def test_a_full_one_is_renamed_aside_and_back():
    seen = left(tmp_table(3, 3))
    (cure,) = cures(CHECK, seen)
    assert only(CHECK, seen).certainty == "likely"
    on, rename, off = statements(cure)
    assert (on, off) == ("PRAGMA legacy_alter_table = ON", "PRAGMA legacy_alter_table = OFF")
    assert rename.startswith('ALTER TABLE "_alembic_tmp_users" RENAME TO "_migdoctor_q_')
    assert rename.endswith('_users"')
    assert isinstance(cure, Remedy)
    assert cure.hazards == ()
    aside = rename.split('"')[3]
    assert isinstance(cure.steps[1], Sql)
    assert cure.steps[1].undo == (f'ALTER TABLE "{aside}" RENAME TO "_alembic_tmp_users"',)


def test_the_name_aside_is_the_same_every_time_and_never_one_that_is_taken():
    (first,) = cures(CHECK, left(tmp_table(3, 3)))
    (again,) = cures(CHECK, left(tmp_table(3, 3)))
    assert statements(first) == statements(again)
    taken = Quarantined(schema="main", name=statements(first)[1].split('"')[3], rows=3)
    (other,) = cures(CHECK, left(tmp_table(3, 3), quarantined=(taken,)))
    assert taken.name not in statements(other)[1]


def test_two_tmp_tables_are_two_findings():
    orders = tmp_table(0, 2, name="_alembic_tmp_orders", original="orders")
    found = list(CHECK.find(left(tmp_table(0, 3), orders)))
    assert [f.subject for f in found] == ["_alembic_tmp_users", "_alembic_tmp_orders"]


def test_a_cut_name_that_fits_one_table_is_put_aside():
    seen = left(
        tmp_table(3, 3, name=CUT_NAME, original=LONG),
        schema=Schema(facts={FactKey("main", LONG, "table", LONG): ""}),
    )
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, Remedy)


def test_a_cut_name_that_fits_two_tables_is_left_to_a_human():
    tables = (LONG, LONG + "_2024")
    schema = Schema(facts={FactKey("main", name, "table", name): "" for name in tables})
    seen = left(tmp_table(3, 3, name=CUT_NAME, original=LONG), schema=schema)
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert LONG + "_2024" in cure.why


def test_the_evidence_says_what_the_batch_wanted():
    ddl = 'CREATE TABLE "users" (id INTEGER NOT NULL, nick TEXT)'
    schema = Schema(facts={}, sql={("table", "users"): ddl})
    *_, wish = only(CHECK, left(tmp_table(0, 3), schema=schema)).evidence
    assert wish.text.splitlines() == ["- nick TEXT", "+ nick TEXT NOT NULL"]


def test_no_hazard_hides_in_the_default_cure():
    for rows in (0, 3):
        (cure,) = cures(CHECK, left(tmp_table(rows, 3)))
        assert isinstance(cure, Remedy)
        assert Hazard.IRREVERSIBLE not in cure.hazards
