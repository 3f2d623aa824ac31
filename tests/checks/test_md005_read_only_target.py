"""MD005: a target that takes no writes is said to be one, with the reason."""

from dataclasses import replace

import pytest

from migdoctor.checks.md005_read_only_target import CHECK
from migdoctor.errors import NotObserved
from migdoctor.model import NeedsHuman, Severity
from tests.facts import healthy


def test_silent_on_a_writable_database():
    assert not list(CHECK.find(healthy()))


def test_silent_when_only_rights_are_lacking():
    seen = healthy()
    identity = replace(seen.identity, lacks=("no INSERT on alembic_version",))
    assert not list(CHECK.find(seen.having(identity=identity)))


@pytest.mark.parametrize(("dialect", "blocks"), [("sqlite", 1), ("postgresql", 2)])
def test_shows_the_reason_and_how_to_ask_again(dialect: str, blocks: int):
    seen = healthy()
    reason = "in recovery: this is a replica"
    seen = seen.having(identity=replace(seen.identity, read_only=reason), dialect=dialect)
    (finding,) = CHECK.find(seen)
    assert CHECK.severity is Severity.WARNING
    assert finding.evidence[0].text == reason
    assert len(finding.evidence) == blocks
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)


def test_blind_without_an_identity():
    seen = healthy().without("identity", NotObserved("identity", "no connection"))
    with pytest.raises(NotObserved):
        list(CHECK.find(seen))
