"""One table with a long name."""

from sqlalchemy import Column, Integer, MetaData, String, Table

metadata = MetaData()

reminders = Table(
    "customer_subscription_renewal_reminders_archive",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", String(80)),
)
