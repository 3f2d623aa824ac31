"""A history that is sick in several ways: all are found from the files alone, and cured in turn."""

from collections.abc import Callable

import pytest

from migdoctor.samples import Box
from tests.running import migdoctor, picture
from tests.test_lost_files import loads_and_upgrades


def test_several_sicknesses_are_found_and_cured_in_one_run(
    sample: Callable[[str, str], Box], capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md202_duplicate_revision_id", "sqlite")
    told = (box.folder / "versions" / "ccc3_add_phone.py").read_text()

    def add(name: str, id: str, down: str, column: str) -> None:
        text = told.replace("ccc3", id).replace('"bbb2"', f'"{down}"').replace("phone", column)
        (box.folder / "versions" / f"{name}.py").write_text(text)

    add("eee5_fax", "eee5", "ccc3_add_nickname", "fax")
    add("fff6_pager", "fff6", "fff6", "pager")
    add("ggg7_telex", "ggg7", "gone9", "telex")
    (box.folder / "versions" / "hhh8_junk.py").write_text("<<<<<<< HEAD\n")
    before = picture(box)
    options = ("--select", "MD2", "--format", "json", *box.args)
    seen = migdoctor(capfd, "diagnose", *options)
    assert set(seen.codes) >= {"MD201", "MD202", "MD203", "MD204"}
    assert seen.codes.count("MD203") == 2
    quick = migdoctor(capfd, "diagnose", "--quick", *options)
    assert quick.codes == seen.codes
    assert picture(box) == before
    planned = migdoctor(capfd, "fix", "--format", "json", *box.args).document
    cured = {step["code"] for step in planned["plan"]["steps"]}
    assert cured >= {"MD203"}  # the junk hides which of the twins ran
    (box.folder / "versions" / "hhh8_junk.py").unlink()
    (box.folder / "versions" / "ggg7_telex.py").unlink()
    fixed = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert fixed.codes == ["MD506"], fixed.out
    run = fixed.document["outcome"]["run"]
    assert migdoctor(capfd, "undo", run, *box.args).code == 0
    migdoctor(capfd, "fix", "--apply", *box.args)
    loads_and_upgrades(box)
