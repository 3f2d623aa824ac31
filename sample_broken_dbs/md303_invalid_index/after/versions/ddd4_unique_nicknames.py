"""unique nicknames, without a long lock

Revision ID: ddd4
Revises: ccc3
"""

from alembic import op

revision = "ddd4"
down_revision = "ccc3"
branch_labels = None
depends_on = None


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index(
            "ux_users_nickname",
            "users",
            ["nickname"],
            unique=True,
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade():
    op.drop_index("ux_users_nickname", table_name="users")
