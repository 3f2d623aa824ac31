"""a reminder has a text

Revision ID: bbb2
Revises: aaa1
"""

import sqlalchemy as sa
from alembic import op

revision = "bbb2"
down_revision = "aaa1"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("customer_subscription_renewal_reminders_archive") as batch:
        batch.alter_column("text", existing_type=sa.String(80), nullable=False)


def downgrade():
    with op.batch_alter_table("customer_subscription_renewal_reminders_archive") as batch:
        batch.alter_column("text", existing_type=sa.String(80), nullable=True)
