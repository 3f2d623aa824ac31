"""A history that is sick in several ways: all are found from the files alone, and cured in turn."""

import py_compile
from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.samples import Box, run_sql
from tests.running import migdoctor, picture
from tests.test_lost_files import loads_and_upgrades

ALL = {f"MD2{n:02}" for n in (1, 2, 3, 4, 5, 7, 8, 11)}


def test_several_sicknesses_are_found_and_cured_in_one_run(
    sample: Callable[[str, str], Box], capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md202_duplicate_revision_id", "sqlite")
    versions = box.folder / "versions"
    told = (versions / "ccc3_add_phone.py").read_text()

    def add(name: str, id: str, down: str, depends: str | None = None) -> str:
        text = told.replace("ccc3", id).replace('"bbb2"', f'"{down}"')
        text = text.replace("phone", name[5:]).replace("on = None", f"on = {depends!r}")
        (versions / f"{name}.py").write_text(text)
        return text

    fine = add("iii9_mobile", "iii9", "kkk2"), add("jjj1_skype", "jjj1", "iii9")
    box.git("add", "--all")
    box.git("commit", "--quiet", "-m", "mobile numbers")
    (versions / "iii9_mobile.py").write_text(fine[0][:200])
    (versions / "jjj1_skype.py").write_text(fine[1].replace('"iii9"', "None"))
    add("eee5_fax", "eee-5", "ccc3_add_nickname")
    add("fff6_pager", "fff6", "fff6")
    add("ggg7_telex", "ggg7", "gone9")
    add("kkk2_radio", "kkk2", "eee-5", depends="aaa1_create_users")
    add("lll3_old", "lll3", "aaa1")
    py_compile.compile(str(versions / "lll3_old.py"), str(versions / "lll3_old.pyc"))
    (versions / "lll3_old.py").unlink()
    (versions / "hhh8_junk.py").write_text("<<<<<<< HEAD\n")
    before = picture(box)
    options = ("--select", "MD2", "--format", "json", *box.args)
    seen = migdoctor(capfd, "diagnose", *options)
    assert set(seen.codes) >= ALL
    assert seen.codes.count("MD201") == seen.codes.count("MD203") == 2
    quick = migdoctor(capfd, "diagnose", "--quick", *options)
    assert quick.codes == seen.codes
    assert picture(box) == before
    planned = migdoctor(capfd, "fix", "--format", "json", *box.args).document
    cured = {step["code"] for step in planned["plan"]["steps"]}
    assert cured >= {"MD201", "MD203"}  # the junk hides which of the twins ran
    (versions / "hhh8_junk.py").unlink()
    (versions / "ggg7_telex.py").unlink()
    before = picture(box)
    fixed = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert fixed.codes == ["MD506"], fixed.out
    assert {step["code"] for step in fixed.document["plan"]["steps"]} >= ALL
    run = fixed.document["outcome"]["run"]
    assert migdoctor(capfd, "undo", run, *box.args).code == 0
    assert picture(box) == before
    migdoctor(capfd, "fix", "--apply", *box.args)
    loads_and_upgrades(box)


def test_a_row_and_its_files_get_another_id_together(
    sample: Callable[[str, str], Box], capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md506_pending", "sqlite")  # at bbb2, before ccc3
    for path in (box.folder / "versions").glob("[bc]*.py"):
        path.write_text(path.read_text().replace("bbb2", "bb-2"))
    run_sql(box.owner_url, "UPDATE alembic_version SET version_num = 'bb-2'")
    before = picture(box)
    seen = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert "MD211" in seen.codes
    assert picture(box) == before
    choice = ("--only", "MD211:rename", "--allow", "REWRITES_HISTORY", "--format", "json")
    fixed = migdoctor(capfd, "fix", "--apply", *choice, *box.args)
    assert fixed.codes == ["MD506"], fixed.out
    assert run_sql(box.owner_url, "SELECT version_num FROM alembic_version") == [("bb_2",)]
    run = fixed.document["outcome"]["run"]
    assert migdoctor(capfd, "undo", run, *box.args).code == 0
    assert picture(box) == before
    migdoctor(capfd, "fix", "--apply", *choice, *box.args)
    loads_and_upgrades(box)


def test_what_is_no_text_is_shown_by_its_escapes(
    sample: Callable[[str, str], Box], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    box = sample("md201_unparsable_revision_file__binary", "sqlite")
    page = tmp_path / "page.txt"
    assert migdoctor(capfd, "fix", "--no-rehearsal", "-o", str(page), *box.args).code == 1
    text = page.read_text(encoding="utf-8")
    assert '-"""F\\xfcr Faxger\\xe4te"""' in text
    assert '+"""Für Faxgeräte"""' in text
    assert "\\x00\\xff\\x00" in text
    assert "\0" not in text
