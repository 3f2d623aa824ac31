"""MD704: indexes first, the version last, and nothing unasked."""

from dataclasses import replace

from migdoctor.checks.md704_collation_version import CHECK
from migdoctor.facts import Health, StaleCollation
from migdoctor.model import NeedsHuman, Observation, Remedy
from tests.checks.ailing import ailing
from tests.facts import IDENTITY


def sick(name: str, *indexes: str) -> Observation:
    stale = StaleCollation(name=name, recorded="2.28", actual="2.36", indexes=indexes)
    identity = replace(IDENTITY, database="app")
    return ailing(health=Health(collations=(stale,)), identity=identity)


def test_silent_when_the_versions_agree() -> None:
    assert not list(CHECK.find(ailing()))


def test_indexes_first_and_the_version_last() -> None:
    seen = sick("", "public.a", "public.b.c")
    (finding,) = CHECK.find(seen)
    assert finding.certainty == "likely"
    assert "had version 2.28 when its 2 indexes were built and has 2.36 now" in finding.message
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, Remedy)
    assert not cure.default
    assert [s.run for s in cure.steps] == [
        'REINDEX INDEX CONCURRENTLY "public"."a"',
        'REINDEX INDEX CONCURRENTLY "public"."b.c"',
        'ALTER DATABASE "app" REFRESH COLLATION VERSION',
    ]


def test_a_collation_of_its_own() -> None:
    seen = sick("public.german", "public.a")
    (finding,) = CHECK.find(seen)
    last = CHECK.remedy(finding, seen).steps[-1]
    assert last.run == 'ALTER COLLATION "public"."german" REFRESH VERSION'


def test_without_indexes_a_person_refreshes_it() -> None:
    seen = sick("")
    (finding,) = CHECK.find(seen)
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)
