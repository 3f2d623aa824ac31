"""MD203: a parent that no file has."""

from pathlib import Path

from migdoctor.checks.md203_missing_parent import CHECK
from migdoctor.model import EditFile, NeedsHuman, Remedy
from tests.checks.graphs import (
    CHAIN,
    broken,
    changed,
    cures,
    files,
    found,
    lost,
    revision,
    why,
    written,
)

GONE = revision("ddd4", "gone9")


def test_silent_when_every_parent_is_there():
    assert not found(CHECK, files(*CHAIN))


def test_silent_when_the_parent_is_a_file_that_cannot_be_read():
    assert not found(CHECK, files(*CHAIN, GONE, broken=(broken("gone9.py", id="gone9"),)))


def test_the_missing_parent_is_named():
    (finding,) = found(CHECK, files(*CHAIN, GONE))
    assert (finding.subject, finding.certainty, finding.line) == ("ddd4", "certain", 8)
    assert "KeyError: 'gone9'" in finding.message
    assert finding.evidence[0].text == "revision = 'ddd4'\ndown_revision = 'gone9'"


def test_an_unread_file_without_an_id_makes_it_less_sure():
    (finding,) = found(CHECK, files(*CHAIN, GONE, broken=(broken("odd.py"),)))
    assert finding.certainty == "likely"
    assert "unread odd.py" in finding.help


def test_a_file_name_taken_for_an_id_is_recognised():
    seen = files(revision("3f9a2b", name="0042_add_col"), revision("x", "0042_add_col"))
    (finding,) = found(CHECK, seen)
    assert "It may mean 3f9a2b: '0042_add_col' is the name of its file." in finding.help
    assert "nearest: 3f9a2b" in why(CHECK, seen)


def test_both_missing_parents_of_a_merge():
    assert len(found(CHECK, files(*CHAIN, revision("m", "x1", "y1")))) == 2


def test_the_lost_file_comes_back():
    heir = revision("ddd4", "gone9")
    (remedy,) = cures(CHECK, written(*CHAIN, heir, sightings={"gone9": lost("gone9", "ccc3")}))
    assert isinstance(remedy, Remedy)
    assert remedy.key == "restore"
    assert "branch gifts (commit 1a2b3c4d5e)" in remedy.title
    (step,) = remedy.steps
    assert step == EditFile(
        path=Path("versions/gone9.py"), before=None, after="revision = 'gone9'\n"
    )


def test_it_is_not_written_over_another_file_or_into_a_shut_folder():
    heir = revision("ddd4", "gone9", name="gone9")
    known = {"gone9": lost("gone9", "ccc3")}
    assert "other content" in why(CHECK, written(*CHAIN, heir, sightings=known))
    shut = written(*CHAIN, revision("ddd4", "gone9"), sightings=known, writable_files=False)
    assert "revision = 'gone9'" in why(CHECK, shut)


def test_a_version_that_would_close_a_loop_is_not_brought_back():
    heir = revision("ddd4", "gone9")
    known = {"gone9": lost("gone9", "ddd4")}
    assert isinstance(cures(CHECK, written(*CHAIN, heir, sightings=known))[0], NeedsHuman)


def test_half_a_line_is_not_brought_back():
    heir = revision("ddd4", "gone9")
    known = {"gone9": lost("gone9", missing=("gone8",))}
    assert isinstance(cures(CHECK, written(*CHAIN, heir, sightings=known))[0], NeedsHuman)


def test_a_file_name_is_corrected_and_a_likeness_only_if_chosen():
    named = (revision("3f9a2b", name="0042_add_col"), revision("x", "0042_add_col"))
    (remedy,) = cures(CHECK, written(*named))
    assert isinstance(remedy, Remedy)
    assert changed(remedy) == {"x": ["down_revision = '3f9a2b'"]}
    human, correct, stand_in = cures(CHECK, written(*CHAIN, revision("ddd4", "ccc33")))
    assert isinstance(human, NeedsHuman)
    assert isinstance(correct, Remedy)
    assert isinstance(stand_in, Remedy)
    assert (correct.key, correct.default) == ("correct", False)
    assert (stand_in.key, stand_in.default) == ("pass-through", False)


def test_a_correction_never_closes_a_loop():
    seen = written(revision("a"), revision("b", "c"), revision("c", "b.py", name="c"))
    assert all(not isinstance(c, Remedy) or c.key != "correct" for c in cures(CHECK, seen))


def test_a_file_that_does_nothing_says_so():
    stand_in = cures(CHECK, written(*CHAIN, revision("ddd4", "gone9")))[-1]
    assert isinstance(stand_in, Remedy)
    (step,) = stand_in.steps
    assert isinstance(step, EditFile)
    assert step.path == Path("versions/gone9_pass_through.py")
    assert "revision = 'gone9'\ndown_revision = 'ccc3'" in (step.after or "")
    assert "this file does nothing" in (step.after or "")
