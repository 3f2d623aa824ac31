"""MD305: unused, known to the history, not wanted here, and not waited for."""

import pytest

from migdoctor.checks.md305_orphan_enum_type import CHECK
from migdoctor.errors import NotApplicable
from migdoctor.facts import FactKey, Health, UnusedEnum
from migdoctor.model import Observation
from migdoctor.timeline import Recorded
from tests.checks.ailing import ailing, made, timeline

KEY = FactKey("public", "", "enum", "mood")
TYPE = {KEY: "'a', 'b'"}
COLUMN = {FactKey("public", "users", "column", "mood"): "public.mood"}


def sick(row: str, **revisions: Recorded) -> Observation:
    health = Health(enums=(UnusedEnum(key=KEY, labels=("a", "b")),))
    return ailing(row=row, facts=TYPE, health=health, timeline=timeline(**revisions))


@pytest.mark.parametrize(
    "seen",
    [
        ailing(),
        sick("ccc3", bbb2=made(TYPE)),
        sick("ccc3"),
        sick("bbb2", aaa1=made(TYPE), bbb2=made(gone=TYPE), ccc3=made(COLUMN)),
    ],
    ids=["nothing", "the history has it here", "no revision knows it", "awaited"],
)
def test_silent(seen: Observation) -> None:
    assert not list(CHECK.find(seen))


def test_blind_without_a_replay() -> None:
    quick = sick("ccc3").without("timeline", NotApplicable("timeline", "--quick"))
    with pytest.raises(NotApplicable):
        list(CHECK.find(quick))


def test_a_pending_revision_would_stop_at_it() -> None:
    seen = sick("bbb2", ccc3=made(TYPE, COLUMN))
    (finding,) = CHECK.find(seen)
    assert "ccc3 will make it and stop with" in finding.message
    (step,) = CHECK.remedy(finding, seen).steps
    assert step.run == 'DROP TYPE "public"."mood"'
    assert step.undo == ("CREATE TYPE \"public\".\"mood\" AS ENUM ('a', 'b')",)
    assert step.guard is not None
    assert step.guard.answer == 0


def test_a_recorded_revision_has_dropped_it() -> None:
    assert list(CHECK.find(sick("ccc3", aaa1=made(TYPE), bbb2=made(gone=TYPE))))
