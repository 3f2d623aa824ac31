"""orders cost nothing by default

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
    with op.batch_alter_table("orders") as batch:
        batch.alter_column("total", existing_type=sa.Integer(), server_default="0")


def downgrade():
    with op.batch_alter_table("orders") as batch:
        batch.alter_column("total", existing_type=sa.Integer(), server_default=None)
