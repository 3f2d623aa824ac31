"""The application's tables, as the code of today wants them (equal to revision ddd4)."""

from sqlalchemy import Column, Enum, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(120), nullable=False),
    Column("nickname", String(40)),
    UniqueConstraint("email", name="uq_users_email"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "user_id",
        Integer,
        ForeignKey("users.id", name="fk_orders_user_id_users"),
        nullable=False,
        index=True,
    ),
    Column("total", Integer, nullable=False),
)

moods = Table(
    "moods",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mood", Enum("happy", "sad", "calm", name="mood"), nullable=False),
)
