"""create reminders

Revision ID: aaa1
Revises: 
"""

import sqlalchemy as sa
from alembic import op

revision = "aaa1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "customer_subscription_renewal_reminders_archive",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("text", sa.String(80)),
    )


def downgrade():
    op.drop_table("customer_subscription_renewal_reminders_archive")
