"""Für Faxgeräte"""

import sqlalchemy as sa
from alembic import op

revision = "eee5"
down_revision = "ddd4"


def upgrade():
    op.create_table("faxes", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("faxes")
