"""join notes

Revision ID: eee5
Revises: ccc3, ddd4
"""

revision = "eee5"
down_revision = ("ccc3", "ddd4")
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
