"""The environment all sample databases share: one URL, one connection, models in models.py."""

import os

from alembic import context
from sqlalchemy import create_engine, pool

from models import metadata

config = context.config
url = os.environ.get("DATABASE_URL") or config.get_main_option("sqlalchemy.url")
isolation = os.environ.get("MIGDOCTOR_SAMPLE_ISOLATION")


def options():
    return {"target_metadata": metadata, "render_as_batch": url.startswith("sqlite")}


if context.is_offline_mode():
    context.configure(url=url, literal_binds=True, **options())
    with context.begin_transaction():
        context.run_migrations()
else:
    extra = {"isolation_level": isolation} if isolation else {}
    engine = create_engine(url, poolclass=pool.NullPool, **extra)
    with engine.connect() as connection:
        context.configure(connection=connection, **options())
        with context.begin_transaction():
            context.run_migrations()
