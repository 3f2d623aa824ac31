"""MD701: behind only where the next value is taken; moved upwards only."""

from dataclasses import replace

import pytest

from migdoctor.checks.md701_sequence_behind import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Sequence
from migdoctor.model import Observation
from tests.checks.ailing import ailing


def sick(upcoming: int, highest: int | None) -> Observation:
    one = Sequence(
        schema="public", name="s", table="public.users", column="id",
        upcoming=upcoming, highest=highest,
    )  # fmt: skip
    return ailing(sequences=(one,))


@pytest.mark.parametrize(("upcoming", "highest"), [(1, None), (8, 7), (1, -5), (100, 7)])
def test_silent(upcoming: int, highest: int | None) -> None:
    assert not list(CHECK.find(sick(upcoming, highest)))


def test_what_could_not_be_read_is_not_well() -> None:
    shut = replace(sick(0, None).sequences[0], why_not="session 7 holds it")
    with pytest.raises(NotObserved, match=r"public.s: session 7 holds it"):
        list(CHECK.find(ailing(sequences=(shut,))))
    found = list(CHECK.find(ailing(sequences=(shut, *sick(7, 7).sequences))))
    assert len(found) == 1  # a sequence that is behind is told whatever else could not be read


def test_blind_in_a_hurry() -> None:
    quick = ailing().without("sequences", NotApplicable("sequences", "--quick"))
    with pytest.raises(NotApplicable):
        list(CHECK.find(quick))


@pytest.mark.parametrize(("upcoming", "highest"), [(7, 7), (3, 99)])
def test_behind(upcoming: int, highest: int) -> None:
    seen = sick(upcoming, highest)
    (finding,) = CHECK.find(seen)
    assert f"gives {upcoming} next, and public.users.id reaches {highest}" in finding.message
    lock, move = CHECK.remedy(finding, seen).steps
    assert lock.run == 'LOCK TABLE "public"."users" IN SHARE ROW EXCLUSIVE MODE'
    assert "WHERE m.highest > s.last_value" in move.run
