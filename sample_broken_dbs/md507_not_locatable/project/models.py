"""The application's one table (equal to revision ccc3)."""

from sqlalchemy import Column, Integer, MetaData, String, Table

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("phone", String(40)),
    Column("pager", String(40)),
    Column("fax", String(40)),
)
