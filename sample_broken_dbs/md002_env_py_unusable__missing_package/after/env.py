"""An environment that needs the application's own package."""

from billing_settings import engine
from alembic import context

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
