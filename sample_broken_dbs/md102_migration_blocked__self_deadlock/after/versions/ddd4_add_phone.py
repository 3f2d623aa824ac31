"""add phone, after a look through a session of its own

Revision ID: ddd4
Revises: ccc3
"""

import sqlalchemy as sa
from alembic import context, op

revision = "ddd4"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url"))
    with engine.connect() as second:
        second.execute(sa.text("SELECT id, email FROM users")).fetchall()
        op.add_column("users", sa.Column("phone", sa.String(40)))


def downgrade():
    op.drop_column("users", "phone")
