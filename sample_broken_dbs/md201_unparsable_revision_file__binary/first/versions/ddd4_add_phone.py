"""add phone

Revision ID: ddd4
Revises: ccc3
"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("phone", sa.String(40), nullable=True))


def downgrade():
    with op.batch_alter_table("users") as batch:
        batch.drop_column("phone")
