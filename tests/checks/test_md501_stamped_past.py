"""MD501: what is recorded and never ran, and what only looks like it."""

from dataclasses import replace

import pytest

from migdoctor.checks.md501_stamped_past import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Drift, ModelDiff, TmpTable
from migdoctor.model import Hazard, NeedsHuman, hazards_of
from tests.checks.placed import (
    GONE,
    STATEMENTS,
    THREE,
    add_column,
    create,
    cures,
    data,
    fact,
    index,
    only,
    placed,
    ran,
    remedies,
    timeline,
)
from tests.facts import CHAIN, healthy, revision

LACKING = ModelDiff(drifts=(Drift(op="add_table", subject="orders", text="orders"),))
WITH_DATA = STATEMENTS | {"ccc3": (add_column("users", "nickname"), data())}


# --- silent


@pytest.mark.parametrize(("row", "at"), [("aaa1", "aaa1"), ("bbb2", "bbb2"), ("ccc3", "ccc3")])
def test_silent_where_record_and_schema_agree(row: str, at: str):
    assert not list(CHECK.find(placed(row, at=at)))


@pytest.mark.parametrize("rows", [(), ("zzz9",), ("aaa1 ",), (None, "ccc3")])
def test_silent_until_every_row_names_a_revision(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(placed(*rows, at="aaa1")))


def test_silent_when_the_schema_is_ahead_of_the_record():
    assert not list(CHECK.find(placed("aaa1", at="ccc3")))


def test_silent_on_revisions_that_change_rows_alone():
    told = timeline(STATEMENTS | {"ccc3": (data(),)})
    assert not list(CHECK.find(placed("ccc3", at="bbb2", recorded=told)))


def test_silent_on_drift_that_is_no_whole_revision():
    assert not list(
        CHECK.find(placed("ccc3", without=(fact("orders", "index", "ix_orders_total"),)))
    )


def test_a_database_that_the_product_makes_is_drift_and_not_stamped_past():
    assert not list(CHECK.find(placed("ccc3", at="bbb2", models=ModelDiff())))
    assert list(CHECK.find(placed("ccc3", at="bbb2", models=LACKING)))


def test_silent_where_two_states_are_equally_near():
    seen = placed("bbb2", recorded=THREE, without=GONE)
    assert seen.position.certainty == "unknown"
    assert not list(CHECK.find(seen))


def test_blind_without_a_position_and_while_a_table_is_lost():
    with pytest.raises(NotApplicable):
        list(CHECK.find(healthy()))
    tmp = TmpTable(
        name="_alembic_tmp_users", original="users", rows=2, original_rows=None, ddl="", columns=()
    )
    with pytest.raises(NotObserved):
        list(CHECK.find(placed("ccc3", at="aaa1", tmp_tables=(tmp,))))


# --- found


def test_names_the_revisions_and_runs_exactly_their_statements_in_order():
    seen = placed("ccc3", at="aaa1")
    finding = only(CHECK, seen)
    assert "2 revisions were recorded and never ran: bbb2 and ccc3" in finding.message
    assert finding.certainty == "likely"
    (cure,) = remedies(CHECK, seen).values()
    assert cure.default
    assert ran(cure) == [s.sql for id in ("bbb2", "ccc3") for s in STATEMENTS[id]]
    assert cure.hazards == ()
    assert all(step.undo is not None for step in cure.steps)


def test_stops_before_a_revision_that_changes_rows():
    seen = placed("ccc3", at="aaa1", recorded=timeline(WITH_DATA))
    plain, whole = remedies(CHECK, seen).values()
    assert (plain.key, plain.default, whole.key, whole.default) == ("run", True, "with-data", False)
    assert ran(plain) == [s.sql for s in STATEMENTS["bbb2"]]
    assert "ccc3" in plain.remains
    assert ran(whole)[-1] == data().sql
    assert {Hazard.RERUNS_DATA, Hazard.IRREVERSIBLE} == set(hazards_of(whole.steps[-1]))


def test_nothing_is_a_default_when_the_first_one_changes_rows():
    seen = placed("ccc3", at="bbb2", recorded=timeline(WITH_DATA))
    assert [cure.default for cure in remedies(CHECK, seen).values()] == [False]


@pytest.mark.parametrize("sql", ["SELECT id FROM users", "-- sent around SQLAlchemy", "VALUES (1)"])
def test_what_was_not_recorded_whole_is_left_to_a_human(sql: str):
    told = timeline(STATEMENTS | {"ccc3": (add_column("users", "nickname"), data(sql))})
    (cure,) = cures(CHECK, placed("ccc3", at="bbb2", recorded=told))
    assert isinstance(cure, NeedsHuman)
    assert "ccc3" in cure.why


def test_no_default_where_the_rest_of_the_schema_is_not_as_it_should_be():
    gone = (fact("users", "column", "email"),)
    (cure,) = remedies(CHECK, placed("ccc3", at="aaa1", without=gone)).values()
    assert not cure.default


def test_a_half_run_revision_comes_first():
    seen = placed("ccc3", at="aaa1", steps=1)
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert "MD503" in cure.why


def test_on_postgresql_an_index_on_a_table_in_use_needs_consent():
    statements = {
        "aaa1": (create("users", "id", schema="public"),),
        "bbb2": (index("users", "ix_users_id", schema="public"),),
    }
    chain = replace(CHAIN, revisions=(revision("aaa1"), revision("bbb2", "aaa1")))
    told = timeline(statements, dialect="postgresql")
    (cure,) = remedies(CHECK, placed("bbb2", at="aaa1", recorded=told, history=chain)).values()
    assert cure.hazards == (Hazard.LOCKS_TABLE,)
