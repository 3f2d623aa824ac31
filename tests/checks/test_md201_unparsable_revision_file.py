"""MD201: what Python can compile and what is computed are not its business."""

from migdoctor.checks.md201_unparsable_revision_file import CHECK
from tests.checks.graphs import CHAIN, broken, files, found, why


def test_silent_when_every_file_is_read():
    assert not found(CHECK, files(*CHAIN))


def test_silent_about_computed_identifiers():
    assert not found(CHECK, files(*CHAIN, broken=(broken("x.py", "dynamic"),)))


def test_each_broken_file_is_named_with_its_line():
    seen = files(*CHAIN, broken=(broken("d.py"), broken("e.py", "binary", "eee5", None)))
    first, second = found(CHECK, seen)
    assert (first.subject, first.line, first.path) == ("d.py", 3, seen.history.broken[0].path)
    assert first.message.startswith("d.py line 3: invalid syntax.")
    assert second.message.startswith("e.py: ")
    assert second.evidence[0].text == "by its text it is revision eee5"


def test_it_is_never_deleted():
    assert "never delete it" in why(CHECK, files(broken=(broken("d.py", "missing"),)))
