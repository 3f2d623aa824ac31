"""gifts

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
    with op.get_context().autocommit_block():
        op.create_table(
            "gifts",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("user_id", sa.Integer(), nullable=False),
        )
        op.create_index("ix_gifts_user_id", "gifts", ["user_id"])
        op.add_column("users", sa.Column("phone", sa.String(40), nullable=True))
        op.add_column("orders", sa.Column("gift_id", sa.Integer(), nullable=True))
        op.create_table("cards", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    raise NotImplementedError
