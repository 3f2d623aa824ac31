"""MD207: several beginnings are by design where something tells them apart."""

import pytest

from migdoctor.checks.md207_multiple_bases import CHECK
from tests.checks.graphs import CHAIN, files, found, revision


@pytest.mark.parametrize(
    "more",
    [
        (),
        (revision("x1", labels=("plugin",)),),
        (revision("x1"), revision("x2", "x1", labels=("plugin",))),
        (revision("x1", depends_on=("ccc3",)),),
        (revision("x1", "gone9"),),
    ],
    ids=["one", "labelled", "labelled above", "with a dependency", "parent missing"],
)
def test_silent_by_design(more: tuple):
    assert not found(CHECK, files(*CHAIN, *more))


def test_two_plain_beginnings():
    (finding,) = found(CHECK, files(*CHAIN, revision("stray")))
    assert "2 beginnings, aaa1, stray" in finding.message
    assert finding.path is not None
    assert finding.path.name == "stray.py"
