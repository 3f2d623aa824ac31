"""MD208: compiled revisions whose source is gone."""

from migdoctor.checks.md208_stale_bytecode import CHECK
from migdoctor.errors import NotObserved
from migdoctor.model import MoveFile, Remedy, Severity
from tests.checks.graphs import CHAIN, bytecode, cure, files, found, lost, revision, why

CODE = bytecode("__pycache__/old.cpython-311.pyc", "old9", "bbb2")


def test_silent_without_bytecode():
    assert not found(CHECK, files(*CHAIN))


def test_silent_about_what_a_change_of_branch_leaves_behind():
    quiet = bytecode("__pycache__/old.cpython-311.pyc", "old9", loaded=False)
    assert not found(CHECK, files(*CHAIN, bytecode=(quiet,)))


def test_silent_when_the_history_is_bytecode_by_design():
    history = (revision("old9", name="old"),)
    compiled = tuple(
        type(r)(**{f: getattr(r, f) for f in r.__slots__} | {"path": r.path.with_suffix(".pyc")})
        for r in history
    )
    assert not found(CHECK, files(*compiled, bytecode=(bytecode("old.pyc", "old9"),)))


def test_silent_about_a_module_that_is_no_revision():
    assert not found(CHECK, files(*CHAIN, bytecode=(bytecode("helper.pyc", None),)))


def test_a_phantom_is_put_aside():
    seen = files(*CHAIN, rows=("ccc3",), bytecode=(CODE,), writable_files=True)
    (finding,) = found(CHECK, seen)
    assert "revision old9" in finding.message
    remedy = cure(CHECK, seen)
    assert isinstance(remedy, Remedy)
    aside = CODE.path.with_name("old.cpython-311.pyc.migdoctor")
    assert remedy.steps == (MoveFile(path=CODE.path, to=aside, sha256="ab12"),)


def test_beside_the_sources_and_not_loaded_is_only_worth_knowing():
    seen = files(*CHAIN, bytecode=(bytecode("old.pyc", "old9", loaded=False),))
    assert [f.severity for f in found(CHECK, seen)] == [Severity.INFO]


def test_the_only_copy_of_a_recorded_revision_stays():
    assert "only copy" in why(CHECK, files(*CHAIN, rows=("old9",), bytecode=(CODE,)))
    blind = files(*CHAIN, bytecode=(CODE,))
    assert "only copy" in why(CHECK, blind.without("version_tables", NotObserved("x", "y")))


def test_it_stays_while_others_follow_it_or_the_folder_is_shut():
    heir = revision("ddd4", "old9")
    assert "follow old9" in why(CHECK, files(*CHAIN, heir, bytecode=(CODE,)))
    shut = files(*CHAIN, bytecode=(CODE,), writable_files=False)
    assert "may not be written" in why(CHECK, shut)


def test_where_it_is_needed_its_source_comes_back():
    seen = files(*CHAIN, rows=("old9",), bytecode=(CODE,), sightings={"old9": lost("old9", "aaa1")})
    remedy = cure(CHECK, seen)
    assert isinstance(remedy, Remedy)
    assert remedy.key == "restore"
