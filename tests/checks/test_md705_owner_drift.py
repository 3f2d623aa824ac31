"""MD705: several owners in a schema of the history; other schemas are somebody else's."""

from migdoctor.checks.md705_owner_drift import CHECK
from migdoctor.facts import Health
from migdoctor.model import NeedsHuman, Observation
from tests.checks.ailing import ailing

Owned = tuple[str, str, int, tuple[str, ...]]


def sick(*owners: Owned) -> Observation:
    return ailing(health=Health(owners=owners))


def test_silent_when_all_is_well() -> None:
    assert not list(CHECK.find(ailing()))


def test_silent_in_a_schema_that_the_history_does_not_use() -> None:
    assert not list(CHECK.find(sick(("etl", "a", 1, ("x",)), ("etl", "b", 1, ("y",)))))


def test_everything_to_the_role_that_owns_most() -> None:
    seen = sick(("public", "bob", 1, ("orders",)), ("public", "app", 9, ("a", "b")))
    (finding,) = CHECK.find(seen)
    owns, statements = finding.evidence
    assert owns.text.splitlines()[0].startswith("app: 9 (a, b")
    assert statements.text == 'ALTER TABLE "public"."orders" OWNER TO "app"'
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)
