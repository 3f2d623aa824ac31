"""MD410: on evidence of a line beyond a local head, and on nothing less."""

import pytest

from migdoctor.checks.md410_database_newer_than_code import CHECK
from migdoctor.errors import NotObserved
from migdoctor.model import NeedsHuman, Remedy, Severity
from tests.checks.placed import fact, placed
from tests.checks.stored import cures, only, sighting, stored
from tests.facts import healthy


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("leads_to", [(), ("bbb2",), ("eee5", "aaa1"), ("eee5",)])
def test_silent_when_the_line_does_not_pass_a_head(leads_to: tuple[str, ...]):
    assert not list(CHECK.find(stored("zzz9", sightings={"zzz9": sighting("zzz9", *leads_to)})))


@pytest.mark.parametrize("row", ["ccc3", "AAA1 ", "aaa", "", None])
def test_silent_and_not_blind_when_no_row_is_unknown(row: str | None):
    seen = stored(row).without("sightings", NotObserved("sightings", "no git here"))
    assert not list(CHECK.find(seen))


def test_blind_when_nothing_could_be_searched():
    seen = stored("zzz9").without("sightings", NotObserved("sightings", "no git here"))
    with pytest.raises(NotObserved):
        list(CHECK.find(seen))


def test_names_where_the_newer_code_is_and_changes_nothing():
    seen = stored("eee5", sightings={"eee5": sighting("eee5", "ddd4", "ccc3")})
    (cure,) = cures(CHECK, seen)
    finding = only(CHECK, seen)
    assert CHECK.severity is Severity.WARNING
    assert "eee5 follows ccc3 and is in branch gifts" in finding.message
    assert "line: ccc3 <- ddd4 <- eee5" in finding.evidence[1].text
    assert isinstance(cure, NeedsHuman)
    assert "versions/eee5.py" in cure.why
    assert "alembic downgrade ccc3" in cure.why


# --- with a position

MORE = {fact("gifts", "table"): "table"}


def test_silent_when_the_schema_has_nothing_more_or_stands_below_head():
    assert not list(CHECK.find(placed("zzz9")))
    assert not list(CHECK.find(placed("zzz9", at="bbb2", extra=MORE)))
    assert not list(CHECK.find(placed("ccc3", extra=MORE)))


def test_the_schema_is_evidence_as_well():
    seen = placed("zzz9", extra=MORE).without("sightings", NotObserved("sightings", "no git"))
    finding = only(CHECK, seen)
    assert "'zzz9' is no revision of it" in finding.message
    assert "table gifts" in finding.evidence[2].text
    cure, bridge = cures(CHECK, seen)
    assert isinstance(bridge, Remedy)
    assert (bridge.key, bridge.default) == ("pass-through", False)
    assert isinstance(cure, NeedsHuman)
    assert "another application" in cure.why
