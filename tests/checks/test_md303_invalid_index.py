"""MD303: only what is invalid and not being built; duplicates are shown and never deleted."""

from typing import Any

from migdoctor.checks.md303_invalid_index import CHECK
from migdoctor.facts import FactKey, Health, WeakIndex
from migdoctor.model import NeedsHuman, Observation, Remedy, Severity
from tests.checks.ailing import ailing, origins

KEY = FactKey("public", "users", "index", "ix")
PLAIN = "CREATE INDEX ix ON public.users USING btree (id)"
UNIQUE = "CREATE UNIQUE INDEX ix ON public.users USING btree (id)"


def weak(**more: Any) -> WeakIndex:
    told: dict[str, Any] = {"key": KEY, "unique": False, "valid": False, "building": False}
    return WeakIndex(**(told | more))


def sick(index: WeakIndex, text: str = PLAIN, **more: Any) -> Observation:
    told: dict[str, Any] = {"origins": origins("ix", "bbb2")} | more
    return ailing(facts={KEY: f"{text} INVALID"}, health=Health(indexes=(index,)), **told)


def cures(seen: Observation) -> list[Any]:
    (finding,) = CHECK.find(seen)
    found = CHECK.remedy(finding, seen)
    return list(found) if isinstance(found, tuple) else [found]


def runs(cure: Remedy) -> list[str]:
    return [step.run for step in cure.steps]


def test_silent_when_all_is_well() -> None:
    assert not list(CHECK.find(ailing()))


def test_silent_while_it_is_built() -> None:
    assert not list(CHECK.find(sick(weak(building=True))))


def test_silent_when_valid_whatever_its_name() -> None:
    key = KEY._replace(name="ix_ccnew")
    assert not list(CHECK.find(sick(weak(key=key, valid=True))))


def test_a_recorded_one_is_dropped_and_built_again() -> None:
    seen = sick(weak())
    (finding,) = CHECK.find(seen)
    assert (finding.severity, finding.line) == (None, 7)
    rebuild, drop = cures(seen)
    assert runs(rebuild) == [
        'DROP INDEX CONCURRENTLY IF EXISTS "public"."ix"',
        "CREATE INDEX CONCURRENTLY ix ON public.users USING btree (id)",
    ]
    assert all(not step.in_transaction for step in rebuild.steps)
    assert rebuild.default
    assert not drop.default


def test_a_pending_one_is_only_dropped() -> None:
    (drop,) = cures(sick(weak(), row="aaa1"))
    assert runs(drop) == ['DROP INDEX CONCURRENTLY IF EXISTS "public"."ix"']
    assert drop.default


def test_a_leftover_of_reindex_is_only_dropped() -> None:
    index = weak(key=KEY._replace(name="ix_ccnew"), sibling="ix")
    (drop,) = cures(sick(index))
    assert runs(drop) == ['DROP INDEX CONCURRENTLY IF EXISTS "public"."ix_ccnew"']


def test_duplicates_are_shown_and_left_to_a_person() -> None:
    seen = sick(weak(unique=True, duplicates=("(id) = (7): 2 rows",)), UNIQUE)
    (finding,) = CHECK.find(seen)
    assert finding.severity is Severity.ERROR
    assert "(id) = (7): 2 rows" in [e.text for e in finding.evidence]
    human, drop = cures(seen)
    assert isinstance(human, NeedsHuman)
    assert not drop.default


def test_uncounted_duplicates_are_no_absence_of_duplicates() -> None:
    human, _ = cures(sick(weak(unique=True), UNIQUE))
    assert "run without --quick" in human.why


def test_one_without_duplicates_is_built_again() -> None:
    rebuild, _ = cures(sick(weak(unique=True, duplicates=()), UNIQUE))
    assert runs(rebuild)[1].startswith("CREATE UNIQUE INDEX CONCURRENTLY ix ")


def test_one_that_a_constraint_needs_is_never_dropped() -> None:
    (cure,) = cures(sick(weak(unique=True, constraint="users_pkey"), UNIQUE))
    assert runs(cure) == ['REINDEX INDEX CONCURRENTLY "public"."ix"']
