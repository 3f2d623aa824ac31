"""totals are positive, old rows later

Revision ID: ddd4
Revises: ccc3
"""

from alembic import op

revision = "ddd4"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    op.execute(
        "ALTER TABLE orders ADD CONSTRAINT ck_orders_total CHECK (total > 0) NOT VALID"
    )


def downgrade():
    op.drop_constraint("ck_orders_total", "orders")
