"""The pages that people trust at night are run: what they show and what they advise is compared."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor import samples
from migdoctor.report import pages
from migdoctor.samples import Box
from tests.running import migdoctor

HEADINGS = [
    "What you see",
    "Why it happens",
    "What migdoctor will do",
    "By hand",
    "Undo",
    "When not to",
]
PAGES = sorted(pages.folder().glob("md*.md"))
BY_NAME = [pytest.param(page, id=page.stem) for page in PAGES]


def section(text: str, heading: str) -> str:
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def folded(text: str) -> str:
    """On one line, with every session the same one."""
    text = re.sub(r"backend_start = '[^']*'", "backend_start = '...'", " ".join(text.split()))
    return re.sub(r"\bpid = \d+", "pid = 4711", text)


@pytest.mark.parametrize("page", BY_NAME)
def test_six_headings_in_order(page: Path) -> None:
    assert re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", BY_NAME)
def test_what_is_shown_and_advised_is_what_happens(
    page: Path, sample: Callable[[str, str], Box], capfd: pytest.CaptureFixture[str]
) -> None:
    text = page.read_text()
    box = sample(page.stem, samples.dialects(page.stem)[0])
    report = folded(migdoctor(capfd, "diagnose", *box.args).out)
    (console,) = blocks(section(text, "What you see"), "console")
    command, *shown = console.strip().splitlines()
    assert command == "$ migdoctor diagnose"
    place = 0
    for line in filter(None, map(folded, shown)):
        found = report.find(line, place)
        assert found >= 0, f"{line!r} is not in the report: {report}"
        place = found
    by_hand = folded(" ".join(blocks(section(text, "By hand"), "sql")).replace(";", " "))
    only = [word for choice in box.expect.only for word in ("--only", choice)]
    if box.expect.exit in (2, 3):
        return
    plan = migdoctor(capfd, "fix", "--format", "json", *only, *box.args).document["plan"]
    code = page.stem[:5].upper()
    steps = [s["run"] for s in plan["steps"] if s["kind"] != "file" and s["code"] == code]
    if steps:
        assert by_hand == folded(" ".join(steps).replace(";", " "))
