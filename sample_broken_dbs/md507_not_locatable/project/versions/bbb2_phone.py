"""add phone and pager

Revision ID: bbb2
Revises: aaa1
"""

import sqlalchemy as sa
from alembic import op

revision = "bbb2"
down_revision = "aaa1"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("users", sa.Column("phone", sa.String(40), nullable=True))
    op.add_column("users", sa.Column("pager", sa.String(40), nullable=True))


def downgrade():
    raise NotImplementedError
