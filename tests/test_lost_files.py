"""A revision that ran and whose file is gone: the right source is named, and the file comes back.

The database is never touched; afterwards alembic itself loads the history and upgrades.
"""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.samples import Box
from tests.running import dump, migdoctor, picture
from tests.test_samples import fresh

TEXT = '''"""gifts

Revision ID: ddd4
Revises: {after}
"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = "{after}"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("gifts", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("gifts")
'''
NAME = "versions/ddd4_gifts.py"
Build = Callable[[str, str], Box]


def ran(box: Box, after: str) -> Path:
    """ddd4 has run; its file is there, and no commit has it."""
    box.git("init", "--quiet", "--initial-branch=main")
    (box.folder / ".git" / "info" / "exclude").write_text("app.db*\n__pycache__\n.venv\n*.whl\n")
    box.git("add", "--all")
    box.git("commit", "--quiet", "-m", "release")
    file = box.folder / NAME
    file.write_text(TEXT.format(after=after))
    box.alembic("upgrade ddd4")
    return file


def on_a_branch(box: Box, after: str = "ccc3") -> str:
    ran(box, after)
    box.git("switch", "--quiet", "--create", "gifts")
    box.git("add", "--all")
    box.git("commit", "--quiet", "-m", "gifts")
    box.git("switch", "--quiet", "main")
    return f"branch gifts (commit {box.git('rev-parse', '--short=10', 'gifts')}), 2024-01-03"


def in_a_stash(box: Box) -> str:
    ran(box, "ccc3")
    box.git("stash", "--quiet", "--include-untracked")
    return "a stash (commit "


def in_the_reflog(box: Box) -> str:
    on_a_branch(box)
    box.git("branch", "--quiet", "-D", "gifts")
    return "the reflog (commit "


def in_a_wheel(box: Box) -> str:
    file = ran(box, "ccc3")
    wheel = box.folder / "shop-2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.write(file, "shop/versions/ddd4_gifts.py")
        made.write(
            box.folder / "versions/aaa1_create_users.py", "shop/versions/aaa1_create_users.py"
        )
        names = ("ddd4_gifts.py", "aaa1_create_users.py")
        record = "".join(f"shop/versions/{name},,\n" for name in names)
        made.writestr("shop-2.0.dist-info/RECORD", record)
    file.unlink()
    python = Path(sys.executable).resolve()
    environment = box.folder / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(python)
    zipfile.ZipFile(wheel).extractall(environment / "lib" / "python3" / "site-packages")
    return "the installed package shop 2.0"


def nowhere(box: Box) -> str:
    ran(box, "ccc3").unlink()
    return ""


def loads_and_upgrades(box: Box) -> None:
    """On the broken database and on a fresh one, by alembic itself."""
    for status, output in (box.alembic("upgrade head"), fresh(box, "upgrade head")):
        assert status == 0, output


@pytest.mark.parametrize("lose", [on_a_branch, in_a_stash, in_the_reflog, in_a_wheel, nowhere])
def test_beyond_this_checkout_only_files_are_touched(
    lose: Callable[[Box], str], sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("healthy", "sqlite")
    where = lose(box)
    before = picture(box)
    seen = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    assert seen.codes == ["MD410"]
    only = () if where else ("--only", "MD410:pass-through")
    planned = migdoctor(capfd, "fix", "--format", "json", *only, *box.args).document
    (step,) = planned["plan"]["steps"]
    assert step["kind"] == "file"
    if where:
        assert where in planned["findings"][0]["remedy"]["title"]
        assert f"+++ {box.folder / NAME}" in planned["plan"]["diff"]["files"]
    assert picture(box) == before

    fixed = migdoctor(capfd, "fix", "--apply", "--format", "json", *only, *box.args)
    # The models do not know that table; and one of no revision at all is drift. For a person.
    assert fixed.codes == (["MD602"] if where else ["MD601"]), fixed.err
    assert dump(box) == before[0]
    if where:
        assert (box.folder / NAME).read_text() == TEXT.format(after="ccc3")
    else:
        assert "what it did" in (box.folder / "versions/ddd4_pass_through.py").read_text().lower()
    run = fixed.document["outcome"]["run"]
    assert migdoctor(capfd, "undo", run, *box.args).code == 0
    assert picture(box) == before
    migdoctor(capfd, "fix", "--apply", *only, *box.args)
    loads_and_upgrades(box)


def test_beside_the_head_it_is_restored_and_merged(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md506_pending", "sqlite")
    where = on_a_branch(box, "bbb2")
    before = dump(box)
    seen = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    assert seen.codes == ["MD404"]
    fixed = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert fixed.codes == ["MD506"], fixed.out
    steps = fixed.document["plan"]["steps"]
    assert [(s["kind"], s["code"]) for s in steps] == [("file", "MD404"), ("file", "MD206")]
    assert where in seen.out
    assert dump(box) == before
    loads_and_upgrades(box)


def test_a_file_that_is_there_with_other_content_is_never_written_over(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("healthy", "sqlite")
    on_a_branch(box)
    (box.folder / NAME).write_text("<<<<<<< HEAD\n=======\n>>>>>>> gifts\n")
    before = picture(box)
    planned = migdoctor(capfd, "fix", "--format", "json", *box.args).document
    assert planned["plan"]["steps"] == []
    whys = {left["code"]: left["why"] for left in planned["plan"]["left_to_humans"]}
    assert "ddd4_gifts.py is there with other content" in whys["MD410"]
    assert picture(box) == before
