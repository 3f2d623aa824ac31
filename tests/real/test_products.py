"""migdoctor on published products, from our own environment: silent on what is well, then ill."""

import json
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from migdoctor.samples import run_sql
from tests.real.products import ALL, PREFECT, Place, Product

pytestmark = pytest.mark.real
SQLITE = pytest.mark.parametrize("product", ALL, ids=lambda product: product.name)
COPIED = pytest.mark.parametrize(
    "product", [p for p in ALL if p.copied], ids=lambda product: product.name
)
PLACES = [(p, d) for p in ALL for d in ("sqlite", *(["postgresql"] if p.on_postgresql else []))]
UNDERSTOOD = re.compile(r"\w+( [^\s]+){3,}")  # a reason is a sentence, not a word
DROPPING = ["DELETES_DATA", "DROPS_OBJECT", "IRREVERSIBLE", "REWRITES_TABLE"]

Well = Callable[[Product], Place]


def migdoctor(place: Place, *words: str, copied: bool = False) -> dict[str, Any]:
    """The JSON document of one call, as a user of that product would make it."""
    own = (place.product.copied if copied else place.product.words) or ""
    options = ["--python", str(place.product.home / "bin" / "python")]
    options += shlex.split(place.fill(own))
    done = subprocess.run(
        [sys.executable, "-m", "migdoctor", *words, "--format", "json", *options],
        cwd=place.here, env=place.environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode
    return document


def codes(document: dict[str, Any]) -> list[str]:
    """All codes, but for the remark that a history cannot be replayed from nothing (MD507)."""
    return sorted(
        f["code"]
        for f in document["findings"]
        if not (f["code"] == "MD507" and f["severity"] == "info")
    )


def shown(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1)


def assert_well(document: dict[str, Any], place: Place, *, info: tuple[str, ...] = ()) -> None:
    """No error, and drift exactly where there is some.

    That is where alembic's own comparison sees it: MD602 where the database is just as its history
    makes it and the models want more, else MD601. A product that creates its database from its
    models may differ from its history. A --quick look compares neither.
    """
    looked = "MD601" not in document["not_applicable"]
    drifted = looked and not place.agrees_with_models()
    found = codes(document)
    if looked and not drifted and place.product.created:
        found = [code for code in found if code != "MD601"]
    drift = "MD602" if document["position"]["certainty"] == "certain" else "MD601"
    assert found == sorted([*([drift] if drifted else []), *info]), shown(document)
    assert document["summary"]["error"] == 0
    assert all(UNDERSTOOD.search(n["why"]) for n in document["not_looked"]), shown(document)


def quick(place: Place) -> list[str]:
    """Repeated looks at a product that is slow to import leave its models out."""
    return ["--quick"] if place.product.slow else []


def cured(place: Place, code: str) -> None:
    """The sickness is found, fix --apply takes it away, and nothing is left."""
    look = quick(place)
    found = migdoctor(place, "diagnose", *look)
    assert code in codes(found), shown(found)
    assert found["exit_code"] == 1
    done = migdoctor(place, "fix", "--apply", *look)
    assert done.get("outcome"), shown(done)
    assert code in done["verdict"]["cured"], shown(done)
    assert_well(done, place)


def tables(place: Place) -> list[tuple[str, str]]:
    """(name, DDL) of the tables that the product made."""
    made = run_sql(
        _plain(place), "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
    )
    return [(n, s) for n, s in made if not n.startswith(("sqlite_", "alembic_"))]


def _plain(place: Place) -> str:
    return re.sub(r"^(\w+)\+\w+", r"\1", place.url)


def rows(place: Place) -> list[str]:
    return [r for (r,) in run_sql(_plain(place), "SELECT version_num FROM alembic_version")]


@SQLITE
def test_a_healthy_sqlite_database(product: Product, well: Well) -> None:
    place = well(product)
    document = migdoctor(place, "diagnose")
    assert_well(document, place)
    assert document["exit_code"] == (1 if codes(document) else 0)
    assert len(document["position"]["heads"]) == product.heads
    assert sorted(document["position"]["recorded"]) == sorted(rows(place))
    assert_well(migdoctor(place, "diagnose", "--quick"), place)


@pytest.mark.parametrize(
    "product", [p for p in ALL if p.on_postgresql], ids=lambda product: product.name
)
def test_postgresql(product: Product, migrated: Callable[[Product, str], Place]) -> None:
    place = migrated(product, "postgresql")
    assert_well(migdoctor(place, "diagnose"), place)
    good = rows(place)
    run_sql(
        _plain(place),
        f"UPDATE alembic_version SET version_num = '{good[0]} ' WHERE version_num = '{good[0]}'",
    )
    cured(place, "MD405")
    assert sorted(rows(place)) == sorted(good)


@pytest.mark.parametrize(("product", "dialect"), PLACES, ids=lambda x: getattr(x, "name", x))
def test_healthy_and_located_where_it_says(
    product: Product, dialect: str, migrated: Callable[[Product, str], Place]
) -> None:
    position = migdoctor(migrated(product, dialect), "locate")["position"]
    assert (position["verdict"], position["certainty"]) == ("at-head", "certain"), shown(position)
    assert sorted(position["located"]) == sorted(position["recorded"])


@pytest.mark.parametrize(
    ("product", "dialect"), [(p, d) for p, d in PLACES if p.go], ids=lambda x: getattr(x, "name", x)
)
def test_a_database_at_some_revision_is_located(
    product: Product, dialect: str, empty: Callable[[Product, str], Place]
) -> None:
    assert product.go
    product.install()
    history = _history(product)[-product.back :]  # -0: all of it
    for number in random.Random(product.name).sample(range(1, len(history) - 1), 2):
        place, revision = empty(product, dialect), history[number]
        if product.back:
            place.migrate()
        done = place.run(product.go.replace("{revision}", revision))
        assert done.returncode == 0, done.stdout + done.stderr
        assert rows(place) == [revision]
        position = migdoctor(place, "locate")["position"]
        assert (position["located"], position["verdict"]) == ([revision], "behind"), shown(position)
        assert position["certainty"] == "certain"
        wrong = history[number + 1]
        _record(place, revision, wrong)
        found = migdoctor(place, "locate")["position"]
        assert {revision, wrong} & set(found["candidates"]), shown(found)
        assert found["located"] == [revision] or wrong in position["candidates"], shown(found)
        _record(place, wrong, "deadbeef0000")
        found = migdoctor(place, "locate")["position"]
        assert revision in found["candidates"], shown(found)
        assert found["verdict"] == "diverged"


def _record(place: Place, old: str, new: str) -> None:
    run_sql(
        _plain(place),
        f"UPDATE alembic_version SET version_num = '{new}' WHERE version_num = '{old}'",
    )


def _history(product: Product) -> list[str]:
    """The ids of the main line, the first one first."""
    files = sorted((product.site / product.scripts).rglob("*.py"))
    found = {}
    for path in files:
        id = re.search(r"(?m)^revision\b[^=]*= *['\"]([^'\"]+)['\"]", text := path.read_text())
        down = re.search(r"(?m)^down_revision\b[^=]*= *(?:None|['\"]([^'\"]+)['\"])", text)
        if id and down:
            found[down[1]] = id[1]
    line = [found[None]]
    while line[-1] in found:
        line.append(found[line[-1]])
    return line


@SQLITE
def test_an_orphan_tmp_table(product: Product, well: Well) -> None:
    place = well(product)
    name, ddl = next((n, s) for n, s in tables(place) if re.match(r'CREATE TABLE "?\w+"? ?\(', s))
    start = re.compile(rf'CREATE TABLE ("?){name}\1')
    run_sql(_plain(place), start.sub(f'CREATE TABLE "_alembic_tmp_{name}"', ddl, count=1))
    cured(place, "MD301")
    assert name in dict(tables(place))
    assert f"_alembic_tmp_{name}" not in dict(tables(place))


@SQLITE
def test_rows_that_overlap_repeat_or_are_malformed(product: Product, well: Well) -> None:
    place = well(product)
    good = rows(place)
    database = _plain(place)
    run_sql(database, f"UPDATE alembic_version SET version_num = '{good[0]} '\nWHERE "
            f"version_num = '{good[0]}'")  # fmt: skip
    cured(place, "MD405")
    assert sorted(rows(place)) == sorted(good)

    run_sql(database, f"INSERT INTO alembic_version VALUES ('{_ancestor(place, good[0])}')")
    cured(place, "MD402")
    assert sorted(rows(place)) == sorted(good)

    run_sql(database, "ALTER TABLE alembic_version RENAME TO old;\n"
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);\n"
            "INSERT INTO alembic_version SELECT * FROM old;\n"
            f"INSERT INTO alembic_version VALUES ('{good[0]}');\nDROP TABLE old")  # fmt: skip
    cured(place, "MD403")
    assert sorted(rows(place)) == sorted(good)


@SQLITE
def test_an_unknown_row(product: Product, well: Well) -> None:
    place = well(product)
    good = rows(place)
    run_sql(_plain(place), "UPDATE alembic_version SET version_num = 'deadbeef0000'"
            f" WHERE version_num = '{good[0]}'")  # fmt: skip
    found = migdoctor(place, "diagnose", *quick(place))
    assert "MD404" in codes(found), shown(found)
    (finding,) = [f for f in found["findings"] if f["code"] == "MD404"]
    assert finding["remedy"] or finding["needs_human"]


@COPIED
def test_a_second_head(product: Product, well: Well) -> None:
    place = well(product)
    scripts = place.copy_scripts()
    (head,) = rows(place)
    assert_well(migdoctor(place, "diagnose", "--quick", copied=True), place)
    second = scripts / "versions" / "feedc0de0001_second.py"
    second.write_text(
        '"""second head"""\n\nrevision = "feedc0de0001"\n'
        f'down_revision = "{_ancestor(place, head)}"\n'
        "branch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    pass\n\n\n"
        "def downgrade():\n    pass\n"
    )
    found = migdoctor(place, "diagnose", "--quick", copied=True)
    assert "MD206" in codes(found), shown(found)
    # Where the history has no beginning, nobody knows whether the branches commute: a choice.
    done = migdoctor(place, "fix", "--apply", "--only", "MD206:merge", copied=True)
    assert done.get("outcome"), shown(done)
    assert "MD206" in done["verdict"]["cured"], shown(done)
    assert len(done["position"]["heads"]) == 1
    assert_well(done, place, info=("MD506",))


@pytest.mark.parametrize(
    "product",
    [p for p in ALL if p.compare and p is not PREFECT],  # prefect's own models disagree at head
    ids=lambda product: product.name,
)
def test_drift_made_by_hand(product: Product, well: Well) -> None:
    place = well(product)
    assert place.agrees_with_models()
    name = tables(place)[0][0]
    indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    index, _ = run_sql(_plain(place), f"{indexes} ORDER BY name")[0]
    run_sql(
        _plain(place), f'ALTER TABLE "{name}" ADD COLUMN by_hand INTEGER;\nDROP INDEX "{index}"'
    )
    assert not place.agrees_with_models()
    found = migdoctor(place, "diagnose")
    assert codes(found) == ["MD601"], shown(found)
    said = shown(found)
    assert "by_hand" in said
    assert index in said
    allowed = [word for hazard in DROPPING for word in ("--allow", hazard)]
    done = migdoctor(place, "fix", "--apply", "--only", "MD601:restore", *allowed)
    assert done.get("outcome"), shown(done)
    assert_well(done, place)
    assert place.agrees_with_models()


def _ancestor(place: Place, revision: str) -> str:
    """The parent of a revision, as its file says."""
    for path in sorted((place.product.site / place.product.scripts).rglob("*.py")):
        text = path.read_text()
        if re.search(rf"(?m)^revision\b[^=]*= *['\"]{revision}['\"]", text):
            found = re.search(r"(?m)^down_revision\b[^=]*= *['\"]([^'\"]+)['\"]", text)
            assert found, path
            return found[1]
    raise AssertionError(f"no file of {revision}")
