"""MD212: computed identifiers, in one finding."""

from migdoctor.checks.md212_dynamic_identifiers import CHECK
from migdoctor.model import Severity
from tests.checks.graphs import CHAIN, broken, files, found


def test_silent_about_plain_and_about_broken_files():
    assert not found(CHECK, files(*CHAIN, broken=(broken("x.py"),)))


def test_all_files_in_one_finding():
    many = tuple(broken(f"{n:02}.py", "dynamic") for n in range(20))
    (finding,) = found(CHECK, files(broken=many))
    assert finding.message.startswith("00.py, 01.py, 02.py ...: ")
    lines = finding.evidence[0].text.splitlines()
    assert (len(lines), lines[-1]) == (13, "... and 8 more")
    assert CHECK.severity is Severity.INFO
