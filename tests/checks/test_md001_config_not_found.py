"""MD001: a configuration that cannot be found is one finding with its two sentences."""

from migdoctor.checks.md001_config_not_found import CHECK
from migdoctor.errors import ConfigNotFound, NotApplicable, NotObserved
from migdoctor.model import NeedsHuman, Observation
from tests.facts import healthy


def test_silent_when_a_configuration_was_found():
    assert not list(CHECK.find(healthy()))


def test_silent_when_only_the_database_is_missing():
    seen = healthy(connect_error=ConfigNotFound("x"))
    assert not list(CHECK.find(seen))


def test_repeats_message_and_help_of_the_error():
    error = ConfigNotFound("There is no alembic.ini in /srv/app.", "Name it with -c.")
    seen = Observation({"history": NotObserved("history", "no config")}, config_error=error)
    (finding,) = CHECK.find(seen)
    assert finding.message == "There is no alembic.ini in /srv/app."
    assert finding.help == "Name it with -c."
    assert "ALEMBIC_CONFIG" in finding.evidence[0].text


def test_stands_for_exit_status_2_and_is_left_to_a_human():
    error = ConfigNotFound("No script_location.", "Add it.")
    seen = Observation({"schema": NotApplicable("schema", "nothing found")}, config_error=error)
    (finding,) = CHECK.find(seen)
    assert CHECK.stops == 2
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, NeedsHuman)
    assert "--script-location" in cure.why
