"""from a branch that is gone

Revision ID: ddd4
Revises: bbb2
"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = "bbb2"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("gifts", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("gifts")
