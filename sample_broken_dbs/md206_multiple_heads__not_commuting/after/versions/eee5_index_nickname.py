"""look users up by nickname

Revision ID: eee5
Revises: ccc3
"""

from alembic import op

revision = "eee5"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_users_nickname", "users", ["nickname"])


def downgrade():
    op.drop_index("ix_users_nickname", table_name="users")
