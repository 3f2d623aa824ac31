"""MD603: labels are added at their place; nothing is taken away or moved."""

from dataclasses import replace

from migdoctor.checks.md603_enum_label_drift import CHECK
from migdoctor.facts import FactKey, Schema
from migdoctor.model import NeedsHuman, Observation
from migdoctor.observe.health import as_meant
from migdoctor.timeline import Recorded
from tests.checks.placed import STATEMENTS, placed, timeline

KEY = FactKey("main", "", "enum", "mood")


def sick(live: str, wanted: str, before: str = "") -> Observation:
    """An enum that the last revision makes, or changes from `before`, and the database has so."""
    making = Recorded(sql="CREATE TYPE mood ...", added={KEY: before or wanted})
    changing = Recorded(sql="ALTER TYPE ...", added={KEY: wanted}, removed={KEY: before})
    statements = (making, changing) if before else (making,)
    told = timeline({**STATEMENTS, "ccc3": (*STATEMENTS["ccc3"], *statements)})
    seen = placed("ccc3", recorded=told)
    seen = seen.having(schema=Schema(facts={**seen.schema.facts, KEY: live}))
    return seen.having(schema=as_meant(seen))


def test_silent_where_the_labels_are_the_same() -> None:
    assert not list(CHECK.find(sick("'a', 'b'", "'a', 'b'")))


def test_silent_where_an_earlier_place_of_the_history_has_them() -> None:
    assert not list(CHECK.find(sick("'a'", "'a', 'b'", before="'a'")))


def test_silent_where_create_all_of_the_models_gives_them() -> None:
    seen = sick("'a', 'b', 'c'", "'a', 'b'")
    made = replace(seen.timeline, created={KEY: "'a', 'b', 'c'"})
    assert not list(CHECK.find(seen.having(timeline=made)))


def test_missing_labels_come_to_their_places() -> None:
    seen = sick("'b'", "'a', 'b', 'it''s'")
    (finding,) = CHECK.find(seen)
    assert "lacks a, it's" in finding.message
    cure = CHECK.remedy(finding, seen)
    assert [s.run for s in cure.steps] == [
        "ALTER TYPE \"mood\" ADD VALUE IF NOT EXISTS 'a' BEFORE 'b'",
        "ALTER TYPE \"mood\" ADD VALUE IF NOT EXISTS 'it''s' AFTER 'b'",
    ]
    assert not any(s.in_transaction for s in cure.steps)
    assert cure.remains == ""


def test_labels_that_no_revision_makes_are_only_shown() -> None:
    seen = sick("'a', 'b', 'c'", "'a', 'b'")
    (finding,) = CHECK.find(seen)
    assert "has c that no revision makes" in finding.message
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)


def test_another_order_is_only_shown() -> None:
    seen = sick("'b', 'a'", "'a', 'b'")
    (finding,) = CHECK.find(seen)
    assert "in another order" in finding.message
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)


def test_what_cannot_be_taken_away_remains() -> None:
    seen = sick("'a', 'x'", "'a', 'b'")
    (finding,) = CHECK.find(seen)
    assert "x" in CHECK.remedy(finding, seen).remains
