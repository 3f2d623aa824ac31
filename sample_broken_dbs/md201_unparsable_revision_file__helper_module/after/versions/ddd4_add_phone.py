"""add phone

Revision ID: ddd4
Revises: ccc3
"""

from alembic import op
from versions.shared_columns import phone

revision = "ddd4"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("users") as batch:
        batch.add_column(phone())


def downgrade():
    with op.batch_alter_table("users") as batch:
        batch.drop_column("phone")
