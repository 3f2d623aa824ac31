"""Throw-away databases: a private PostgreSQL server, and copies for rehearsals."""
