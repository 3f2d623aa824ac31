"""audit, in a schema of its own

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
    op.execute("CREATE SCHEMA audit")
    op.create_table("events", sa.Column("id", sa.Integer(), primary_key=True), schema="audit")


def downgrade():
    op.drop_table("events", schema="audit")
    op.execute("DROP SCHEMA audit")
