"""MD006: what the role lacks, and the statements for a DBA."""

from dataclasses import replace

from migdoctor.checks.md006_insufficient_privileges import CHECK
from migdoctor.model import NeedsHuman, Severity
from tests.facts import healthy

LACKS = ("cannot write alembic_version", "does not own users")
STATEMENTS = ('GRANT UPDATE ON "alembic_version" TO "app";', 'ALTER TABLE "users" OWNER TO "app";')


def test_silent_when_nothing_is_lacking():
    assert not list(CHECK.find(healthy()))


def test_silent_on_a_read_only_target_with_all_rights():
    seen = healthy()
    identity = replace(seen.identity, read_only="in recovery: this is a replica")
    assert not list(CHECK.find(seen.having(identity=identity)))


def test_counts_what_is_lacking_and_hands_over_the_statements():
    seen = healthy()
    identity = replace(seen.identity, role="app", lacks=LACKS, statements=STATEMENTS)
    (finding,) = CHECK.find(seen.having(identity=identity))
    assert CHECK.severity is Severity.WARNING
    assert finding.subject == "role app"
    assert "lacks 2 rights that" in finding.message
    assert finding.evidence[0].text.splitlines() == list(LACKS)
    assert finding.evidence[1].text.splitlines() == list(STATEMENTS)
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)


def test_one_right_is_one_right_and_no_statement_is_no_empty_block():
    seen = healthy()
    identity = replace(seen.identity, role="app", lacks=LACKS[:1], statements=())
    (finding,) = CHECK.find(seen.having(identity=identity))
    assert "lacks 1 right that" in finding.message
    assert [e.title for e in finding.evidence] == ["what it lacks"]


def test_what_pending_revisions_need_is_told_with_the_statements():
    needs = (
        ("app may not create schema audit", 'CREATE SCHEMA "audit" AUTHORIZATION "app"'),
        ("extension vector is not installed on this server", ""),
    )
    (finding,) = CHECK.find(healthy(needs=needs))
    assert "lacks 2 rights" in finding.message
    assert "'does not exist'" in finding.message
    what, run = finding.evidence
    assert what.text.splitlines() == [text for text, _ in needs]
    assert run.text == 'CREATE SCHEMA "audit" AUTHORIZATION "app"'
