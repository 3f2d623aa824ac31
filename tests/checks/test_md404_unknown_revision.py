"""MD404: only what is neither known nor recognisable nor newer; exactly as stored."""

from pathlib import Path

import pytest

from migdoctor.checks.md404_unknown_revision import CHECK
from migdoctor.errors import NotObserved
from migdoctor.graph import Broken
from migdoctor.model import NeedsHuman, Observation, Remedy
from tests.checks.placed import GONE, STATEMENTS, THREE, data, fact, placed, timeline
from tests.checks.stored import after, cures, history, only, sighting, stored
from tests.facts import CHAIN, healthy, revision


def unknown(*rows: str | None, **changes: object) -> Observation:
    return stored(*rows, **({"sightings": {}} | changes))


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("row", [None, "", " \n", "AAA1", "aaa1 ", "aaa1\n", "aaa", "ccc3"])
def test_silent_on_rows_that_can_be_recognised(row: str | None):
    assert not list(CHECK.find(unknown(row)))


def test_silent_when_the_database_is_newer():
    assert not list(CHECK.find(unknown("ddd4", sightings={"ddd4": sighting("ddd4", "ccc3")})))


@pytest.mark.parametrize("row", ["zzz9", "aaa12", "aa a1", "x" * 32, "ccc3;"])
def test_an_unknown_id_is_shown_as_stored_and_left_to_a_human(row: str):
    seen = unknown(row)
    (cure,) = cures(CHECK, seen)
    finding = only(CHECK, seen)
    assert repr(row) in finding.message
    assert f"{row!r} ({len(row)} characters)" in finding.evidence[0].text
    assert finding.certainty == "certain"
    assert isinstance(cure, NeedsHuman)


def test_several_unknown_ids_are_one_finding_and_known_ones_are_not_in_it():
    finding = only(CHECK, unknown("zzz9", "ccc3", "yyy8"))
    assert "'zzz9' and 'yyy8'" in finding.message
    assert "ccc3" not in finding.message


def test_a_beginning_of_two_ids_is_unknown_and_both_are_named():
    two = history(revision("long_id_1"), revision("long_id_2", "long_id_1"))
    finding = only(CHECK, unknown("long_id_", history=two))
    assert "look like it: long_id_1, long_id_2" in finding.evidence[1].text


def test_less_certain_when_some_file_could_not_be_read():
    broken = Broken(path=Path("versions/x.py"), line=1, kind="syntax", text="invalid syntax")
    seen = unknown("zzz9", history=history(*CHAIN.revisions, broken=(broken,)))
    finding = only(CHECK, seen)
    assert finding.certainty == "likely"
    assert "could not be read" in finding.message


def test_a_sighting_on_a_side_line_names_the_file_to_bring_back():
    seen = unknown("ddd4", sightings={"ddd4": sighting("ddd4", "bbb2")})
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert "branch gifts (versions/ddd4.py)" in cure.why
    assert "it follows bbb2" in only(CHECK, seen).evidence[1].text


def test_still_found_when_nothing_could_be_searched():
    blind = unknown("zzz9").without("sightings", NotObserved("sightings", "no git here"))
    assert "not searched elsewhere: no git here" in only(CHECK, blind).evidence[1].text


# --- with a position


def test_the_row_gets_the_located_revision():
    seen = placed("zzz9", at="bbb2", steps=0)
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, Remedy)
    assert (cure.key, cure.default) == ("located", True)
    assert after(cure) == ["bbb2"]


def test_a_known_row_beside_it_is_kept_once():
    (cure,) = cures(CHECK, placed("zzz9", "ccc3"))
    assert after(cure) == ["ccc3"]


def test_the_file_comes_first_where_it_was_seen():
    seen = placed("zzz9", at="bbb2", sightings={"zzz9": sighting("zzz9", "aaa1")})
    human, cure = cures(CHECK, seen)
    assert isinstance(human, NeedsHuman)
    assert isinstance(cure, Remedy)
    assert not cure.default


def test_a_place_that_is_not_exactly_right_is_not_recorded():
    gone = (fact("users", "column", "email"),)
    (cure,) = cures(CHECK, placed("zzz9", at="bbb2", without=gone))
    assert isinstance(cure, NeedsHuman)
    assert "column users.email is missing" in cure.why


def test_refused_with_the_candidates_where_rows_make_the_difference():
    told = timeline(STATEMENTS | {"ccc3": (data(),)})
    human, *choices = cures(CHECK, placed("zzz9", at="bbb2", recorded=told))
    assert isinstance(human, NeedsHuman)
    assert "bbb2 or ccc3" in human.why
    assert [(c.key, c.default, after(c)) for c in choices if isinstance(c, Remedy)] == [
        ("bbb2", False, ["bbb2"]),
        ("ccc3", False, ["ccc3"]),
    ]


def test_a_tie_of_revisions_that_do_nothing_needs_no_choice():
    told = timeline(STATEMENTS | {"ccc3": ()})
    (cure,) = cures(CHECK, placed("zzz9", at="bbb2", recorded=told))
    assert after(cure) == ["bbb2"]


def test_tables_of_nobody_may_belong_to_another_application():
    extra = {fact("runs", "table"): "table"}
    human, cure = cures(CHECK, placed("zzz9", at="bbb2", extra=extra))
    assert isinstance(human, NeedsHuman)
    assert "table runs" in human.why
    assert isinstance(cure, Remedy)
    assert not cure.default


def test_with_more_than_head_it_is_md410():
    extra = {fact("runs", "table"): "table"}
    assert not list(CHECK.find(placed("zzz9", extra=extra)))


def test_an_ambiguous_place_is_refused():
    (cure,) = cures(CHECK, placed("zzz9", recorded=THREE, without=GONE))
    assert isinstance(cure, NeedsHuman)
    assert "ambiguous" in cure.why
    assert "ccc3" in cure.why


def test_where_the_replay_ended_nothing_is_recorded():
    short = {id: STATEMENTS[id] for id in ("aaa1", "bbb2")}
    told = timeline(short, failed=("ccc3", "no such table"))
    (cure,) = cures(CHECK, placed("zzz9", at="bbb2", recorded=told))
    assert isinstance(cure, NeedsHuman)
    assert "before ccc3 (no such table)" in cure.why
