"""contacts

Revision ID: xxx1
Revises: bbb2
"""

import sqlalchemy as sa
from alembic import op

revision = "xxx1"
down_revision = "bbb2"
branch_labels = ("contacts",)
depends_on = None


def upgrade():
    op.create_table("contacts", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("contacts")
