"""Answers questions about a project by running its own env.py, without touching its database.

This package is run by the project's interpreter: Python >= 3.8, SQLAlchemy >= 1.3 and alembic >=
1.4 of the project, and nothing else of migdoctor. It reads one JSON question per line from one pipe
and writes one JSON answer per line to another; whatever the project prints goes elsewhere.

Every connection of SQLAlchemy comes out of a pool's connection record: engines, async engines,
`creator=` and bare pools alike, also those built at import. So one wrapper there, active from the
first moment, decides what a connection is (connections.py):

* closed (the normal state): the arguments are noted and a `Null` is handed out, an object that
  accepts everything and answers nothing. No driver is called.
* redirected (only during `models` and `replay`): a connection to the address the doctor gave,
  whatever the project asked for. `configure()` then verifies that it is that one, or stops.

`run_migrations` does nothing in this process, in either state; only a replay lets the one context
run whose connection has been shown to lead to the doctor's throw-away shadow (replay.py).
"""
