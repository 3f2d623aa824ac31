"""tables of the plugin

Revision ID: plug1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "plug1"
down_revision = None
branch_labels = ("plugin",)
depends_on = None


def upgrade():
    op.create_table("plugs", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    raise NotImplementedError
