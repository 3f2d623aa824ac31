"""create notes

Revision ID: ddd4
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "ddd4"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("notes")
