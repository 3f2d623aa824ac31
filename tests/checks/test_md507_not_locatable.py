"""MD507: no place that fits, or a replay that ended too early."""

import pytest

from migdoctor.checks.md507_not_locatable import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Schema
from tests.checks.placed import GONE, STATEMENTS, THREE, fact, only, placed, timeline
from tests.facts import healthy

SHORT = {id: STATEMENTS[id] for id in ("aaa1", "bbb2")}


@pytest.mark.parametrize(("row", "at"), [("aaa1", "aaa1"), ("ccc3", "aaa1"), ("aaa1", "ccc3")])
def test_silent_where_the_schema_is_known(row: str, at: str):
    assert not list(CHECK.find(placed(row, at=at)))


def test_silent_where_the_record_is_among_the_nearest():
    lost = (fact("a", "column", "x"), *GONE)
    assert not list(CHECK.find(placed("ccc3", recorded=THREE, without=lost)))


def test_silent_where_a_gap_explains_it():
    assert not list(CHECK.find(placed("ccc3", recorded=THREE, without=GONE)))


@pytest.mark.parametrize(
    ("why", "error"),
    [
        (NotObserved("position", "no shadow"), NotObserved),
        (NotApplicable("position", "quick"), NotApplicable),
    ],
)
def test_blind_where_nobody_could_look(why: Exception, error: type[Exception]):
    with pytest.raises(error):
        list(CHECK.find(healthy().without("position", why)))


def test_names_the_places_that_fit_and_what_differs():
    finding = only(CHECK, placed("bbb2", recorded=THREE, without=GONE))
    assert "ccc3 and aaa1 are equally near" in finding.message
    assert finding.evidence[1].text == "column a.b is missing: TEXT\ncolumn a.d is missing: TEXT"


def test_an_empty_table_of_rows_is_not_placed_either():
    assert "ccc3" in only(CHECK, placed(recorded=THREE, without=GONE)).message


def test_names_the_revision_at_which_the_replay_ended():
    told = timeline(SHORT, failed=("ccc3", "no such table: tenants"))
    finding = only(CHECK, placed("ccc3", at="bbb2", recorded=told))
    assert "revision ccc3: no such table: tenants" in finding.message


@pytest.mark.parametrize(("row", "at"), [("aaa1", "aaa1"), ("bbb2", "bbb2")])
def test_a_replay_that_ended_later_does_no_harm(row: str, at: str):
    told = timeline(SHORT, failed=("ccc3", "no such table: tenants"))
    assert not list(CHECK.find(placed(row, at=at, recorded=told)))


def test_names_what_could_not_be_compared():
    told = timeline(THREE.revisions, incomparable={"main.maps": "the shadow lacks postgis"})
    finding = only(CHECK, placed("bbb2", recorded=told, without=GONE))
    assert "main.maps: the shadow lacks postgis" in finding.evidence[2].text


def test_a_relation_that_could_not_be_read_is_no_difference():
    seen = placed("ccc3")
    partly = Schema(facts=seen.schema.facts, unreadable={"main.users": "locked"})
    assert not list(CHECK.find(seen.having(schema=partly)))
