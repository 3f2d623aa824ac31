"""MD304: counted first; one that a pending revision validates is waited for."""

from typing import Any

from migdoctor.checks.md304_unvalidated_constraint import CHECK
from migdoctor.facts import FactKey, Health, Unvalidated
from migdoctor.model import NeedsHuman, Observation, Remedy
from tests.checks.ailing import ailing, made, timeline

KEY = FactKey("public", "users", "check", "ck")
OPEN, DONE = {KEY: "CHECK ((id > 0)) NOT VALID"}, {KEY: "CHECK ((id > 0))"}


def sick(row: str = "ccc3", **more: Any) -> Observation:
    told: dict[str, Any] = {"key": KEY, "definition": "CHECK ((id > 0))", "busy": False}
    history = timeline(bbb2=made(OPEN))
    if more.pop("validated_later", False):
        history = timeline(bbb2=made(OPEN), ccc3=made(DONE, gone=OPEN))
    one = Unvalidated(**(told | more))
    return ailing(row=row, facts=OPEN, health=Health(unvalidated=(one,)), timeline=history)


def test_silent_when_all_is_well() -> None:
    assert not list(CHECK.find(ailing()))


def test_silent_while_somebody_is_at_work_on_the_table() -> None:
    assert not list(CHECK.find(sick(busy=True)))


def test_silent_when_a_pending_revision_validates_it() -> None:
    assert not list(CHECK.find(sick(row="bbb2", validated_later=True)))
    assert list(CHECK.find(sick(row="ccc3", validated_later=True)))


def test_validated_where_no_row_breaks_it() -> None:
    seen = sick(violations=0)
    (finding,) = CHECK.find(seen)
    assert "no row breaks it" in finding.message
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, Remedy)
    assert [s.run for s in cure.steps] == ['ALTER TABLE "public"."users" VALIDATE CONSTRAINT "ck"']
    assert cure.hazards == ()


def test_rows_that_break_it_are_shown_and_left() -> None:
    seen = sick(violations=2, shown="(-1)\n(-2)")
    (finding,) = CHECK.find(seen)
    assert "2 rows break it" in finding.message
    assert "(-1)" in finding.evidence[-1].text
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)


def test_what_was_not_counted_is_not_validated() -> None:
    seen = sick(why_not="too slow")
    (finding,) = CHECK.find(seen)
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, NeedsHuman)
    assert "too slow" in cure.why
