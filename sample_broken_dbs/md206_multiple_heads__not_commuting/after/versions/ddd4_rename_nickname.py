"""nicknames become names of their own

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
        batch.alter_column("nickname", new_column_name="alias", existing_type=sa.String(40))


def downgrade():
    with op.batch_alter_table("users") as batch:
        batch.alter_column("alias", new_column_name="nickname", existing_type=sa.String(40))
