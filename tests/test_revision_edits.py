"""Identifiers replaced in the text of a file: the one that was meant, and nothing else."""

import pytest

from migdoctor.cures.broken import conflict, nothing_lost
from migdoctor.cures.files import with_field

PLAIN = '''"""do

Revision ID: x
Revises: a
"""

revision = "x"
down_revision = "a"


def upgrade():
    op.do("a")  # "a" stays
'''


def test_the_value_and_its_line_in_the_docstring() -> None:
    text = with_field(PLAIN, "down_revision", "b")
    assert text == PLAIN.replace("Revises: a", "Revises: b").replace(
        'down_revision = "a"', 'down_revision = "b"'
    )
    assert with_field(text or "", "down_revision", "a") == PLAIN


@pytest.mark.parametrize(
    ("given", "value", "wanted"),
    [
        ("down_revision = 'a'", "b", "down_revision = 'b'"),
        ("down_revision: str | None = 'a'", None, "down_revision: str | None = None"),
        ("down_revision = None", ("a", "b"), 'down_revision = ("a", "b")'),
        ("down_revision = (\n  'a',\n  'b',\n)", ("c",), "down_revision = ('c',)"),
        ("down_revision = 'a'; x = 1", "b", "down_revision = 'b'; x = 1"),
        ("down_revision = 'a'", "it's", 'down_revision = "it\'s"'),
    ],
)
def test_as_it_was_written(given: str, value: object, wanted: str) -> None:
    for end in ("\n", "\r\n"):
        before, after = (f"\ufeffrevision = 'x'\n{t}\n".replace("\n", end) for t in (given, wanted))
        assert with_field(before, "down_revision", value) == after  # type: ignore[arg-type]  # plain values


@pytest.mark.parametrize(
    "text",
    [
        "down_revision = PARENT\n",
        "down_revision = 'a'\ndown_revision = 'b'\n",
        "if True:\n    down_revision = 'a'\n",
        "down_revision = (\n",
        "revision = 'x'\n",
        "down_revision = 'a\0'\n",
    ],
)
def test_what_is_computed_or_broken_is_left_alone(text: str) -> None:
    assert with_field(text, "down_revision", "b") is None


def test_bytes_that_are_no_utf8_survive() -> None:
    data = b"# -*- coding: latin-1 -*-\n# caf\xe9\nrevision = 'x'\ndown_revision = 'a'\n"
    text = with_field(data.decode("utf-8", "surrogateescape"), "down_revision", "b")
    assert text is not None
    assert text.encode("utf-8", "surrogateescape") == data.replace(b"'a'", b"'b'")


def test_the_line_of_a_docstring_that_named_nothing() -> None:
    text = PLAIN.replace("Revises: a", "Revises:").replace(
        'down_revision = "a"', "down_revision = None"
    )
    assert with_field(text, "down_revision", "a") == PLAIN


def test_both_sides_of_conflicts_with_and_without_their_ancestor() -> None:
    text = """a
<<<<<<< HEAD
b
||||||| 1a2b3c4
x
=======
c
>>>>>>> feature
=======
<<<<<<< HEAD
=======
d
>>>>>>> feature
"""
    heading = "=======\n"  # outside of a conflict a line like any other
    assert conflict(text) == [("HEAD", f"a\nb\n{heading}"), ("feature", f"a\nc\n{heading}d\n")]
    crlf = text.replace("\n", "\r\n")
    assert conflict(crlf) == [(n, t.replace("\n", "\r\n")) for n, t in conflict(text) or []]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n=======\nb\n",
        "<<<<<<< HEAD\na\n",
        "<<<<<<< HEAD\na\n>>>>>>> b\n",
        "<<<<<<< HEAD\na\n<<<<<<< HEAD\n=======\n>>>>>>> b\n",
        ">>>>>>> b\n",
    ],
)
def test_markers_that_are_missing_or_not_in_order(text: str) -> None:
    assert conflict(text) is None


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        ("", False),
        ("revision = 'x'\ndown_rev", False),
        ("\0" * 99, False),
        ("revision = 'x'\n# caf\udce9\n", False),
        ("r\0e\0v\0i\0s\0i\0o\0n\0 \0=\0 \0'\0x\0'\0\n\0", False),
        ("revision = 'y'\n", True),
        ("revision = 'x'\nop.do(\n", True),
    ],
    ids=["empty", "broken off", "zeros", "encoding", "utf-16", "another value", "new line"],
)
def test_damage_loses_nothing_and_work_is_no_damage(now: str, lost: bool) -> None:
    assert nothing_lost(now, "revision = 'x'\ndown_revision = 'a'\n# café\n") is not lost
