#!/bin/sh
# "sqlite:///app.db" is relative to this folder now, no longer to the project's
cd "$(dirname "$0")" && exec alembic -c ../alembic.ini upgrade head
