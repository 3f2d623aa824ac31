"""nicknames for all

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
    op.add_column("users", sa.Column("named", sa.Integer(), nullable=True))
    op.execute("UPDATE users SET nickname = email, named = 1")


def downgrade():
    raise NotImplementedError
