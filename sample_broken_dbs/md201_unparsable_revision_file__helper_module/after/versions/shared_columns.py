"""Columns that several revisions use."""

import sqlalchemy as sa


def phone():
    return sa.Column("phone", sa.String(40), nullable=True)
