"""create gifts

Revision ID: bbb9
Revises: bbb2
"""

import sqlalchemy as sa
from alembic import op

revision = "bbb9"
down_revision = "bbb2"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("gifts", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    raise NotImplementedError
