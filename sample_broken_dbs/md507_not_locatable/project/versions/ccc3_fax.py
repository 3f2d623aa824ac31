"""add fax

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
    op.add_column("users", sa.Column("fax", sa.String(40), nullable=True))


def downgrade():
    raise NotImplementedError
