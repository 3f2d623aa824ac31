"""add nickname

Revision ID: ccc3
Revises: bbb2
"""

import sqlalchemy as sa
from alembic import op

revision = "ccc3"
down_revision = "bbb2"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("nickname", sa.String(80), nullable=True))


def downgrade():
    with op.batch_alter_table("users") as batch:
        batch.drop_column("nickname")
