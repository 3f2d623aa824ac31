"""MD702: counted rows without parent; told once, and never deleted."""

from typing import Any

import pytest

from migdoctor.checks.md702_foreign_key_violations import CHECK
from migdoctor.errors import NotObserved
from migdoctor.facts import FactKey, Health, Orphans, TmpTable, Unvalidated
from migdoctor.model import NeedsHuman
from tests.facts import healthy


def orphans(count: int | None, **more: Any) -> Orphans:
    told: dict[str, Any] = {"table": "public.orders", "constraint": "fk", "parent": "users"}
    return Orphans(count=count, **(told | more))


def test_silent_where_there_are_none() -> None:
    assert not list(CHECK.find(healthy()))
    assert not list(CHECK.find(healthy(orphans=(orphans(0),))))


def test_blind_where_nobody_could_count() -> None:
    with pytest.raises(NotObserved, match=r"public\.orders: slow"):
        list(CHECK.find(healthy(orphans=(orphans(0), orphans(None, why_not="slow")))))


def test_what_could_be_counted_is_told_where_others_could_not() -> None:
    (finding,) = CHECK.find(healthy(orphans=(orphans(2), orphans(None, why_not="slow"))))
    assert "2 rows of public.orders have no parent" in finding.message


def test_silent_where_the_validation_tells_it() -> None:
    key = FactKey("public", "orders", "foreign_key", "fk")
    open_ = Unvalidated(key=key, definition="FOREIGN KEY ...", busy=False)
    health = Health(unvalidated=(open_,))
    assert not list(CHECK.find(healthy(orphans=(orphans(3),), health=health)))


def test_silent_where_the_parents_are_in_a_leftover_or_the_table_is_gone() -> None:
    tmp = TmpTable(
        name="_alembic_tmp_users", original="users", rows=3, original_rows=0,
        ddl="CREATE TABLE _alembic_tmp_users (id)", columns=("id",),
    )  # fmt: skip
    assert not list(CHECK.find(healthy(orphans=(orphans(3),), tmp_tables=(tmp,))))
    assert not list(CHECK.find(healthy(orphans=(orphans(3, parent="lost"),))))


def test_shown_and_left_to_a_person() -> None:
    seen = healthy(orphans=(orphans(3, shown="rowid 1, 2, 3"),))
    (finding,) = CHECK.find(seen)
    assert "3 rows of public.orders have no parent in users" in finding.message
    assert finding.evidence[0].text == "rowid 1, 2, 3"
    assert isinstance(CHECK.remedy(finding, seen), NeedsHuman)
