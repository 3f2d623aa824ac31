"""right4

Revision ID: right4
Revises: ccc3
"""

revision = "right4"
down_revision = "ccc3"
branch_labels = None
depends_on = "left4"


def upgrade():
    pass


def downgrade():
    pass
