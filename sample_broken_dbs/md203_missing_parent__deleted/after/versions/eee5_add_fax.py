"""add fax

Revision ID: eee5
Revises: ddd4
"""

import sqlalchemy as sa
from alembic import op

revision = "eee5"
down_revision = "ddd4"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("fax", sa.String(40), nullable=True))


def downgrade():
    with op.batch_alter_table("users") as batch:
        batch.drop_column("fax")
