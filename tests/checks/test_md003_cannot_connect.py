"""MD003: a database that cannot be opened is one finding with its two sentences."""

from migdoctor.checks.md003_cannot_connect import CHECK
from migdoctor.errors import CannotConnect, NotObserved
from migdoctor.model import NeedsHuman, Severity
from tests.facts import healthy


def test_silent_when_connected():
    assert not list(CHECK.find(healthy()))


def test_repeats_message_and_help_of_the_error():
    error = CannotConnect("sqlite:////srv/aap.db does not exist.", "Check the path.")
    seen = healthy(connect_error=error).without("schema", NotObserved("schema", "no connection"))
    (finding,) = CHECK.find(seen)
    assert (finding.message, finding.help) == (error.message, error.help)


def test_stands_for_exit_status_3_and_is_left_to_a_human():
    seen = healthy(connect_error=CannotConnect("Refused."))
    (finding,) = CHECK.find(seen)
    assert CHECK.stops == 3
    assert CHECK.severity is Severity.ERROR
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)
