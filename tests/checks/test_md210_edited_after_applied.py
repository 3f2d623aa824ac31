"""MD210: only what goes up otherwise, only what has run, and what difference it makes."""

from pathlib import Path
from typing import Any

import pytest

from migdoctor.checks.md210_edited_after_applied import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import FactKey, Schema, Version
from migdoctor.model import EditFile, NeedsHuman, Observation, Remedy, Severity
from tests.checks.placed import STATEMENTS, add_column, cures, fact, only, placed, timeline

NOW = '''"""add nickname"""
import sqlalchemy as sa
from alembic import op
revision = "ccc3"
down_revision = "bbb2"
def upgrade():
    op.add_column("users", sa.Column("nickname", sa.String(80)))
def downgrade():
    op.drop_column("users", "nickname")
'''
THEN = NOW.replace("80", "40")
COLUMN = fact("users", "column", "nickname")
OLD = timeline(STATEMENTS | {"ccc3": (add_column("users", "nickname", "VARCHAR(40)"),)})
NEW = timeline(STATEMENTS | {"ccc3": (add_column("users", "nickname", "VARCHAR(80)"),)})


def version(text: str, commit: str = "c1", *down: str) -> Version:
    path = Path("versions/ccc3.py")
    return Version(path=path, down=down or ("bbb2",), commit=commit, when="2024-01-01", text=text)


def edited(*past: str, now: str = NOW, row: str = "ccc3", **more: Any) -> Observation:
    """The file was each of `past` in turn, and is `now`."""
    versions = tuple(version(text, f"c{n}") for n, text in enumerate(past, 1))
    texts = {Path("versions/ccc3.py"): now}
    facts = {"versions": {"ccc3": versions}, "texts": texts, "edits": (OLD, NEW)}
    return placed(row, at=row, recorded=OLD, **(facts | more))


def live(detail: str | None) -> Schema:
    facts: dict[FactKey, str] = dict(placed("ccc3", recorded=OLD).schema.facts)
    facts.pop(COLUMN)
    return Schema(facts=facts | ({COLUMN: detail} if detail else {}))


@pytest.mark.parametrize(
    "past",
    [
        NOW,
        NOW + "\n# a note\n",
        NOW.replace("80)))", "80),\n    ),\n)").replace("users", "users"),
        NOW.replace("def upgrade():", 'def upgrade() -> None:\n    """Up."""'),
        NOW.replace("import sqlalchemy as sa\nfrom alembic import op", "from alembic import op\n"
                    "import sqlalchemy as sa\nfrom typing import Union"),
        NOW.replace('revision = "ccc3"\n', 'revision: str = "ccc3"\nbranch_labels = None\n', 1),
        NOW.replace('op.drop_column("users", "nickname")', "pass"),
        NOW.replace("\n", "\r\n"),
    ],
    ids=["same", "note", "layout", "types", "imports", "identifiers", "downgrade", "line ends"],
)  # fmt: skip
def test_what_makes_no_difference_going_up_never_alarms(past: str):
    assert not list(CHECK.find(edited(past)))


def test_only_what_has_run_here():
    assert not list(CHECK.find(edited(THEN, row="bbb2")))
    assert list(CHECK.find(edited(THEN)))


def test_only_the_text_that_was_released_counts():
    assert not list(CHECK.find(edited(NOW, THEN)))


def test_without_git_it_does_not_apply():
    seen = placed("ccc3").without("versions", NotApplicable("versions", "no repository"))
    with pytest.raises(NotApplicable):
        list(CHECK.find(seen))


def test_the_database_has_what_the_old_text_makes():
    finding = only(CHECK, edited(THEN, schema=live("VARCHAR(40)")))
    assert "has what the old text makes" in finding.message
    assert (finding.severity, finding.certainty) == (None, "certain")
    assert finding.evidence[0].text == "column users.nickname: VARCHAR(40) then, VARCHAR(80) now"


def test_the_database_has_what_the_text_of_today_makes():
    finding = only(CHECK, edited(THEN, schema=live("VARCHAR(80)")))
    assert finding.severity is Severity.INFO
    assert "text of today" in finding.message


def test_the_database_has_neither():
    finding = only(CHECK, edited(THEN, schema=live("TEXT")))
    assert "neither" in finding.message
    assert finding.severity is None


def test_what_a_later_revision_changes_again_says_nothing():
    later = NEW.revisions | {"ccc3": (*NEW.revisions["ccc3"], add_column("users", "nickname"))}
    seen = edited(THEN, schema=live("TEXT"), edits=(OLD, timeline(later)))
    assert "what the old text makes" not in only(CHECK, seen).message


def test_the_lines_stand_for_what_could_not_be_replayed():
    blind = edited(THEN).without("edits", NotObserved("edits", "no shadow"))
    finding = only(CHECK, blind)
    assert finding.certainty == "likely"
    assert "cannot be told" in finding.message
    assert "the text, not its effect: no shadow" in finding.evidence[0].title
    assert '+    op.add_column("users", sa.Column("nickname", sa.String(80)))' in (
        finding.evidence[0].text
    )


def test_an_old_text_that_fails_is_said_to_fail():
    short = {id: STATEMENTS[id] for id in ("aaa1", "bbb2")}
    failed = timeline(short, failed=("ccc3", "no such type"))
    finding = only(CHECK, edited(THEN, edits=(failed, NEW)))
    assert "the old text fails: no such type" in finding.evidence[0].title


def test_rows_only():
    assert only(CHECK, edited(THEN, edits=(OLD, OLD))).severity is Severity.INFO


def test_a_person_writes_the_new_revision_and_the_old_text_can_be_put_back():
    human, back = cures(CHECK, edited(THEN))
    assert isinstance(human, NeedsHuman)
    assert isinstance(back, Remedy)
    assert back.steps == (EditFile(path=Path("versions/ccc3.py"), before=NOW, after=THEN),)
    assert not back.default
    assert len(cures(CHECK, edited(THEN, writable_files=False))) == 1
