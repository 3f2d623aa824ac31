"""MD205: a depends_on that leads nowhere."""

from migdoctor.checks.md205_missing_dependency import CHECK
from migdoctor.model import Remedy
from tests.checks.graphs import (
    CHAIN,
    broken,
    changed,
    cures,
    files,
    found,
    lost,
    revision,
    written,
)


def test_silent_about_ids_and_labels():
    seen = files(
        *(revision("aaa1", labels=("core",)), revision("p", depends_on=("core", "aaa1"))),
    )
    assert not found(CHECK, seen)


def test_silent_when_it_is_a_file_that_cannot_be_read():
    seen = files(*CHAIN, revision("p", depends_on=("x1",)), broken=(broken("x.py", id="x1"),))
    assert not found(CHECK, seen)


def test_a_dependency_that_nothing_has():
    (finding,) = found(CHECK, files(*CHAIN, revision("p", depends_on=("plugin",))))
    assert (finding.subject, finding.certainty) == ("p", "certain")
    assert "KeyError: 'plugin'" in finding.message


def test_partial_ids_and_heads_of_labels_are_not_understood_in_files():
    seen = files(revision("abcdef12"), revision("p", depends_on=("abcdef", "abcdef12@head")))
    for finding in found(CHECK, seen):
        assert "It may mean abcdef12" in finding.help
    assert len(found(CHECK, seen)) == 2


def test_the_lost_file_comes_back_and_a_file_name_is_corrected():
    heir = revision("ddd4", "ccc3", depends_on=("gone9",))
    (remedy,) = cures(CHECK, written(*CHAIN, heir, sightings={"gone9": lost("gone9", "bbb2")}))
    assert isinstance(remedy, Remedy)
    assert remedy.key == "restore"
    named = revision("ddd4", "ccc3", depends_on=("0001_base",))
    seen = written(*CHAIN, revision("f00d", name="0001_base"), named)
    (remedy,) = cures(CHECK, seen)
    assert changed(remedy) == {"ddd4": ["depends_on = 'f00d'"]}
