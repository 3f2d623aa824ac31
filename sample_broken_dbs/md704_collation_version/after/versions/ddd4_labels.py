"""labels, in an order of their own

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
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(40, collation="pg_c_utf8")),
    )
    op.create_index("ix_labels_name", "labels", ["name"])


def downgrade():
    op.drop_table("labels")
