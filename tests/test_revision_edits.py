"""Identifiers replaced in the text of a file: the one that was meant, and nothing else."""

import pytest

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
        assert with_field(before, "down_revision", value) == after  # type: ignore[arg-type]


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
