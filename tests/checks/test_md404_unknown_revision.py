"""MD404: only what is neither known nor recognisable nor newer; exactly as stored."""

from pathlib import Path

import pytest

from migdoctor.checks.md404_unknown_revision import CHECK
from migdoctor.errors import NotObserved
from migdoctor.graph import Broken
from migdoctor.model import NeedsHuman, Observation
from tests.checks.stored import cures, history, only, sighting, stored
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
