"""The emergency doctor for databases that Alembic manages."""

__version__ = "0.1.0"
