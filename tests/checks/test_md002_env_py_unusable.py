"""MD002: an env.py that cannot run degrades the diagnosis and says what would help."""

from pathlib import Path

import pytest

from migdoctor.checks.md002_env_py_unusable import CHECK
from migdoctor.errors import NotApplicable
from migdoctor.model import NeedsHuman, Severity
from tests.facts import healthy

LOG = """Traceback (most recent call last):
  File "/usr/lib/python3/site-packages/alembic/util/pyfiles.py", line 116, in load_module_py
  File "/srv/app/migrations/env.py", line 3, in <module>
    import settings
  File "/srv/app/migrations/env.py", line 12, in url
    return os.environ["DATABASE_URL"]
KeyError: 'DATABASE_URL'
"""


def test_silent_when_env_py_answered():
    assert not list(CHECK.find(healthy(capture_failure=None)))


def test_not_asked_is_not_applicable():
    seen = healthy().without("capture_failure", NotApplicable("capture_failure", "--quick"))
    with pytest.raises(NotApplicable):
        list(CHECK.find(seen))


def test_shows_the_error_and_points_into_env_py():
    (finding,) = CHECK.find(healthy(capture_failure=("KeyError: 'DATABASE_URL'", LOG)))
    assert "KeyError: 'DATABASE_URL'" in finding.message
    assert (finding.path, finding.line) == (Path("/srv/app/migrations/env.py"), 12)
    assert "os.environ" in finding.evidence[0].text
    assert CHECK.severity is Severity.WARNING
    assert isinstance(CHECK.remedy(finding, healthy()), NeedsHuman)


def test_only_the_first_line_of_a_long_error_goes_into_the_message():
    error = "ValidationError: 2 errors for Settings.\nSMTP_TOKEN\n  field required\n"
    (finding,) = CHECK.find(healthy(capture_failure=(error, "")))
    assert "SMTP_TOKEN" not in finding.message
    assert "SMTP_TOKEN" in finding.evidence[0].text
    assert finding.path is None


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("KeyError: 'DATABASE_URL'", "variables"),
        ("ModuleNotFoundError: No module named 'app'", "--python"),
        ("ImportError: cannot import name 'x'", "--python"),
        ("ValueError: invalid interpolation syntax in 'a%40b' at position 1", "%%"),
        ("RuntimeError: Working outside of application context.", "--via"),
        ("SyntaxError: invalid syntax", "last lines"),
        ("", "last lines"),
    ],
)
def test_advice_follows_the_error(error: str, word: str):
    (finding,) = CHECK.find(healthy(capture_failure=(error, "log")))
    assert word in finding.help
