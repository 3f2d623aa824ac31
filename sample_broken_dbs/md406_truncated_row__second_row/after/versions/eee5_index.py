"""index it

Revision ID: eee5
Revises: ddd4_remember_when_a_user_was_last_seen
"""

import sqlalchemy as sa
from alembic import op

revision = "eee5"
down_revision = "ddd4_remember_when_a_user_was_last_seen"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_users_last_seen", "users", ["last_seen"])


def downgrade():
    op.drop_index("ix_users_last_seen", table_name="users")
