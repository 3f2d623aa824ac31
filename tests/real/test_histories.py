"""The histories of published packages, as our parser reads them and as alembic itself loads them.

Wheels are downloaded without what they depend on. Alembic's ScriptDirectory imports every file, so
where a module that a file imports is not installed, a stand-in takes its place, in a process of its
own that reports each of them. Identifiers are plain texts of the files, whatever they import; a
label that a stand-in gave must be one that our side calls computed.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from migdoctor.graph import History
from migdoctor.observe.history import read
from tests.real.products import CACHE

pytestmark = pytest.mark.real
# requirement, folder of versions, whether it is read recursively, revisions at least
HISTORIES = [
    ("jupyterhub==6.1.1", "jupyterhub/alembic/versions", False, 19),
    ("apache-airflow-core==3.3.2", "airflow/migrations/versions", False, 120),
    ("prefect==3.9.1", "prefect/server/database/_migrations/versions/sqlite", False, 110),
    ("prefect==3.9.1", "prefect/server/database/_migrations/versions/postgresql", False, 115),
    ("keystone==30.0.0", "keystone/common/sql/migrations/versions", True, 10),
    ("buildbot==4.3.0", "buildbot/db/migrations/versions", False, 9),
    ("rucio==41.5.1", "rucio/db/sqla/migrate_repo/versions", False, 130),
    ("optuna==5.0.0", "optuna/storages/_rdb/alembic/versions", False, 9),
    ("mlflow-skinny==3.17.2", "mlflow/store/db_migrations/versions", False, 60),
    ("mlflow-skinny==3.17.2", "mlflow/server/auth/db/migrations/versions", False, 7),
    ("dagster==1.13.29", "dagster/_core/storage/alembic/versions", False, 85),
    ("glance==33.0.0", "glance/db/sqlalchemy/alembic_migrations/versions", False, 25),
    ("ironic==39.0.0", "ironic/db/sqlalchemy/alembic/versions", False, 80),
    ("langflow-base==1.13.0", "langflow/alembic/versions", False, 150),
    ("manila==23.0.1", "manila/db/migrations/alembic/versions", False, 70),
    ("neutron==29.0.0", "neutron/db/migration/alembic_migrations/versions", True, 100),
    ("octavia==19.0.0", "octavia/db/migration/alembic_migrations/versions", False, 90),
    ("cinder==29.0.0", "cinder/db/migrations/versions", False, 8),
]
AS_ALEMBIC = '''
import importlib.abc, importlib.machinery, json, sys, types, warnings

stood_in = []

class StandIn(str):
    """Whatever a missing module would have given: can be called, subclassed and asked for more."""

    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self.__dict__.setdefault(name, StandIn(f"{self}.{name}"))
    def __call__(self, *args, **named): return args[0] if args and callable(args[0]) else self
    def __getitem__(self, key): return self
    def __mro_entries__(self, bases): return ()
    def __or__(self, other): return self
    __ror__ = __or__

class Missing(types.ModuleType):
    __path__ = ()
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        value = StandIn(f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last to be asked: only for what is not installed."""

    def find_spec(self, name, path=None, target=None):
        stood_in.append(name)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec): return Missing(spec.name)
    def exec_module(self, module): pass

from alembic.script import ScriptDirectory
sys.dont_write_bytecode = True
sys.meta_path.append(Finder())
warnings.simplefilter("ignore")
folder, recursive = sys.argv[1], sys.argv[2] == "True"
script = ScriptDirectory(folder, version_locations=[folder], recursive_version_locations=recursive)
map_ = script.revision_map._revision_map
found = {key: r for key, r in map_.items() if r is not None and r.revision == key}
told = lambda label: ("computed: " if isinstance(label, StandIn) else "") + label
print(json.dumps({
    "revisions": {id: {
        "down": r._versioned_down_revisions,
        "needs": sorted(r._resolved_dependencies),
        "before": sorted(r._all_down_revisions),
        "after": sorted(r.nextrev),
        "own": sorted(map(told, r._orig_branch_labels)),
        "labels": sorted(map(told, r.branch_labels)),
        "branch": r.is_branch_point,
        "merge": r.is_merge_point,
        "message": r.doc.partition(chr(10))[0],
    } for id, r in found.items()},
    "heads": script.get_heads(),
    "real_heads": sorted(script.get_heads(consider_depends_on=True)),
    "bases": script.get_bases(),
    "stood_in": sorted({name.partition(".")[0] for name in stood_in}),
}))
'''


def unpacked(requirement: str) -> Path:
    """The files of a wheel, downloaded once and without its dependencies."""
    home = CACHE / "wheels" / requirement.replace("==", "-")
    if not (home / "ready").exists():
        home.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
        words = ["--no-deps", "--only-binary=:all:", "-d", str(home), requirement]
        subprocess.run([*pip, *words], check=True)
        (wheel,) = home.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.endswith(".py")]
            archive.extractall(home / "files", names)
        wheel.unlink()
        (home / "ready").touch()
    return home / "files"


def of_alembic(folder: Path, recursive: bool) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-c", AS_ALEMBIC, str(folder), str(recursive)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def of_ours(seen: History) -> dict[str, Any]:
    """The same facts in the same form."""
    return {
        "revisions": {
            id: {
                "down": list(r.down),
                "needs": sorted({seen.dependency(d) or d for d in r.depends_on}),
                "before": sorted(seen.parents[id]),
                "after": sorted(seen.children[id]),
                "own": sorted(r.labels),
                "labels": sorted(seen.labelled(id)),
                "branch": len(seen.children[id]) > 1,
                "merge": len(r.down) > 1,
                "message": r.message,
            }
            for id, r in seen.by_id.items()
        },
        "heads": list(seen.heads),
        "real_heads": sorted({*seen.heads} - {*seen.implied}),
        "bases": list(seen.bases),
    }


def in_our_words(told: dict[str, Any], seen: History) -> None:
    """A label that a stand-in gave has its full name there and the words of the file here.

    Ours says of exactly those files that their labels are computed.
    """
    own = {id: r["own"] for id, r in told["revisions"].items()}
    computed = {id for id, labels in own.items() if any(": " in label for label in labels)}
    assert {(b.id, b.kind) for b in seen.broken} == {(id, "dynamic") for id in computed}
    words = {label for id in computed for label in seen.by_id[id].labels}
    for revision in told["revisions"].values():
        for key in ("own", "labels"):
            revision[key] = sorted(
                next((w for w in words if label.endswith(f".{w}")), label)
                if label.startswith("computed: ")
                else label
                for label in revision[key]
            )


@pytest.mark.parametrize(
    ("requirement", "folder", "recursive", "least"), HISTORIES, ids=lambda value: str(value)
)
def test_a_published_history_is_read_as_alembic_loads_it(
    requirement: str, folder: str, recursive: bool, least: int
) -> None:
    place = unpacked(requirement) / folder
    seen = read((place,), recursive, False)
    told, ours = of_alembic(place, recursive), of_ours(seen)
    sys.stdout.write(
        f"{requirement} {folder}: {len(seen.by_id)} revisions, {len(seen.broken)} with computed "
        f"labels, stand-ins for {', '.join(told.pop('stood_in')) or 'nothing'}\n"
    )
    in_our_words(told, seen)
    assert list(ours["revisions"]) == list(told["revisions"])
    for id, theirs in told["revisions"].items():
        assert ours["revisions"][id] == theirs, id
    assert ours == told
    assert len(seen.by_id) >= least
    assert seen.trustworthy
    assert not seen.missing_parents
    assert not seen.cycles


def test_there_are_enough_of_them() -> None:
    assert len({requirement for requirement, *_ in HISTORIES}) >= 10
