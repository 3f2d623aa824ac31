"""MD308: what was put aside is worth knowing and nothing more."""

from migdoctor.checks.md308_quarantined_table import CHECK
from migdoctor.facts import Quarantined
from migdoctor.model import NeedsHuman, Severity
from tests.checks.stored import cures, only
from tests.facts import healthy


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


def test_names_the_table_and_its_rows_and_drops_nothing():
    aside = Quarantined(schema="public", name="_migdoctor_q_5a1e9c3f_users", rows=3)
    seen = healthy(quarantined=(aside,))
    (cure,) = cures(CHECK, seen)
    finding = only(CHECK, seen)
    assert CHECK.severity is Severity.INFO
    assert "_migdoctor_q_5a1e9c3f_users aside: 3 rows" in finding.message
    assert 'DROP TABLE "public"."_migdoctor_q_5a1e9c3f_users"' in finding.help
    assert isinstance(cure, NeedsHuman)


def test_rows_that_may_not_be_counted_are_not_invented():
    aside = Quarantined(schema="main", name="_migdoctor_q_5a1e9c3f_users", rows=None)
    assert "unknown number" in only(CHECK, healthy(quarantined=(aside,))).message
