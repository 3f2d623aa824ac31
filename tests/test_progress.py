"""The bar: on stderr, on a terminal, while it is wanted, and nowhere and never else."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.samples import Box
from tests.running import migdoctor

Sample = Callable[[str, str], Box]
PARTLY = "md503_partially_applied"
REPLAY, REHEARSAL = "replaying the history", "rehearsing on a copy"


def on_a_terminal(box: Box, cache: Path, *words: str) -> tuple[bytes, str]:
    """stdout, and what a terminal got that is stderr; nothing comes from the cache."""
    ours, theirs = pty.openpty()
    environment = os.environ | box.env | {"TERM": "xterm", "COLUMNS": "80"}
    environment |= {"MIGDOCTOR_CACHE": str(cache)}
    with subprocess.Popen(
        [sys.executable, "-m", "migdoctor", *words, *box.args], cwd=box.folder, env=environment,
        stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        os.close(theirs)
        shown = b""
        while some := _read(ours):
            shown += some
        assert running.stdout is not None
        report = running.stdout.read()
    os.close(ours)
    return report, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed (Linux)
        return b""


def screen(shown: str) -> str:
    """What is left to see: enough of a terminal for lines that are written over and erased."""
    lines, row, column = [""], 0, 0
    for control, number, letter, text in re.findall(
        r"(\x1b\[\??([\d;]*)([A-Za-z])|\r|\n)|([^\x1b\r\n]+)", shown
    ):
        if text:
            lines[row] = lines[row][:column] + text + lines[row][column + len(text) :]
            column += len(text)
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif letter == "A":
            row = max(0, row - int(number or 1))
        elif letter == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
    return "\n".join(lines).strip()


def test_a_bar_on_a_terminal_and_a_clean_report(
    sample: Sample,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    box = sample(PARTLY, "sqlite")
    report, shown = on_a_terminal(box, tmp_path / "cache", "fix")
    assert REPLAY in shown
    assert re.search(r"\d/4", shown)
    assert REHEARSAL in shown
    assert screen(shown) == ""
    assert "\x1b" not in report.decode()
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(tmp_path / "another cache"))
    ran = migdoctor(capfd, "fix", *box.args)  # without a terminal
    assert (ran.out, ran.err) == (report.decode(), "")


def test_no_bar_where_none_is_wanted_or_nothing_is_long(sample: Sample, tmp_path: Path) -> None:
    box = sample(PARTLY, "sqlite")
    for words in (("-q",), ("--quick",)):
        assert on_a_terminal(box, tmp_path / "cache", "diagnose", *words)[1] == ""
