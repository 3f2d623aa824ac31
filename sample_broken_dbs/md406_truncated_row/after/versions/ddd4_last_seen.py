"""remember when a user was last seen

Revision ID: ddd4_remember_when_a_user_was_last_seen
Revises: ccc3
"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4_remember_when_a_user_was_last_seen"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("users", sa.Column("last_seen", sa.Integer()))


def downgrade():
    op.drop_column("users", "last_seen")
