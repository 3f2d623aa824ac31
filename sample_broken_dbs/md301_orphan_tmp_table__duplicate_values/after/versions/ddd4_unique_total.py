"""no two orders of one total

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
    with op.batch_alter_table("orders") as batch:
        batch.create_unique_constraint("uq_orders_total", ["total"])


def downgrade():
    with op.batch_alter_table("orders") as batch:
        batch.drop_constraint("uq_orders_total", type_="unique")
