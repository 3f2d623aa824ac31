"""Each product is installed once, and each of its databases is migrated once."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from migdoctor.shadow import server
from tests.real.products import Place, Product


@pytest.fixture(scope="session")
def migrated(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Product, str], Place]]:
    """A database at head, made by the product's own code; not to be changed."""
    made: dict[tuple[str, str], Place] = {}
    on_server: list[str] = []

    def make(product: Product, dialect: str) -> Place:
        key = (product.name, dialect)
        if key not in made:
            product.install()
            here = tmp_path_factory.mktemp(f"{product.name}_{dialect}")
            made[key] = _place(product, dialect, here, on_server)
            made[key].migrate()
        return made[key]

    yield make
    for name in on_server:
        server.running().drop(name)


def _place(product: Product, dialect: str, here: Path, on_server: list[str]) -> Place:
    url = product.database.replace("{here}", str(here))
    if dialect == "postgresql":
        plain = make_url(server.running().create(product.name))
        on_server.append(plain.database or "")
        assert product.on_postgresql is not None
        own = plain.set(drivername=product.on_postgresql)
        url = own.render_as_string(hide_password=False)
    return Place(product=product, dialect=dialect, here=here, url=url)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Callable[[Product, str], Place]]:
    """A new database of a product with nothing in it."""
    on_server: list[str] = []

    def make(product: Product, dialect: str) -> Place:
        product.install()
        here = Path(tempfile.mkdtemp(dir=tmp_path))
        place = _place(product, dialect, here, on_server)
        place.write_files()
        return place

    yield make
    for name in on_server:
        server.running().drop(name)


@pytest.fixture
def well(migrated: Callable[[Product, str], Place], tmp_path: Path) -> Callable[[Product], Place]:
    """A private copy of a product's migrated SQLite database."""
    return lambda product: migrated(product, "sqlite").copy_to(tmp_path)
