"""left4

Revision ID: left4
Revises: ccc3
"""

revision = "left4"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
