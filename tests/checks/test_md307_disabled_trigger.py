"""MD307: what a load switched off, not what a revision did; nothing is switched on unasked."""

from typing import Any

from migdoctor.checks.md307_disabled_trigger import CHECK
from migdoctor.facts import DisabledTriggers, FactKey, Health
from migdoctor.model import NeedsHuman, Observation, Remedy
from tests.checks.ailing import ailing, made, timeline

KEY = FactKey("public", "users", "trigger", "audit")
OFF = {KEY: "CREATE TRIGGER audit ... DISABLED"}


def sick(**more: Any) -> Observation:
    history = more.pop("timeline", timeline())
    told: dict[str, Any] = {"schema": "public", "table": "users", "names": (), "all_of_table": True}
    health = Health(triggers=(DisabledTriggers(**(told | more)),))
    return ailing(health=health, timeline=history)


def cure(seen: Observation) -> Any:
    (finding,) = CHECK.find(seen)
    return CHECK.remedy(finding, seen)


def test_silent_when_all_is_well() -> None:
    assert not list(CHECK.find(ailing()))


def test_silent_when_a_revision_switched_it_off() -> None:
    assert not list(CHECK.find(sick(names=("audit",), timeline=timeline(bbb2=made(OFF)))))


def test_one_of_the_schema_is_switched_on_by_choice() -> None:
    remedy = cure(sick(names=("audit",)))
    assert isinstance(remedy, Remedy)
    assert not remedy.default
    (step,) = remedy.steps
    assert step.run == 'ALTER TABLE "public"."users" ENABLE TRIGGER "audit"'
    assert step.undo == ('ALTER TABLE "public"."users" DISABLE TRIGGER "audit"',)


def test_those_of_foreign_keys_only_where_every_row_has_its_parent() -> None:
    def seen(count: int | None, **more: Any) -> Observation:
        keys = (("public.users", "fk", count),)
        return sick(internal=("RI_1",), foreign_keys=keys, **more)

    assert [s.run for s in cure(seen(0)).steps] == [
        'ALTER TABLE "public"."users" ENABLE TRIGGER ALL'
    ]
    for blind in (seen(3), seen(None), seen(0, all_of_table=False)):
        assert isinstance(cure(blind), NeedsHuman)
