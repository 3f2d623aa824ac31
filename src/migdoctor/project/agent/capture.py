"""What the configure() calls of env.py say."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from .connections import dbapi_connection, no_network
from .environment import run_env
from .failures import needs_network, one_line
from .null import Null
from .state import Failure, State, Stop

MOST_CONTEXTS = 200
FIELDS = {
    "host": "host", "hostname": "host", "port": "port", "user": "username", "username": "username",
    "password": "password", "passwd": "password", "database": "database", "dbname": "database",
    "db": "database",
}  # fmt: skip


def capture(question: dict[str, Any]) -> dict[str, Any]:
    """The options of every configure() call.

    env.py is not stopped at its first configure(): tenants and multi-database templates call it
    once each, and what lies between (begin_transaction, run_migrations) does nothing here. The
    run ends with env.py, with the 200th context, or with an error, which no longer matters once
    something was captured.
    """
    project = question["project"]
    with no_network() as isolated:
        contexts, error = _capture(project)
    if isolated and error is not None and not contexts and needs_network(error):
        contexts, error = _capture(project)  # settings from the network; databases stay closed
    if not contexts and error is not None and State.handed_out:
        contexts, _ = _capture(project, as_sql=True)
    if not contexts and error is not None:
        raise error
    if not contexts:
        raise Failure("no-context", "env.py ended without calling context.configure()")
    return {"contexts": contexts, "note": one_line(error) if error is not None else ""}


def _capture(
    project: dict[str, Any], as_sql: bool = False
) -> tuple[list[Any], BaseException | None]:
    contexts = []
    State.handed_out = False

    def hook(environment: Any, given: Any) -> None:
        contexts.append(options_of(environment, given, as_sql))
        if len(contexts) >= MOST_CONTEXTS:
            raise Stop

    try:
        run_env(project, hook, as_sql)
    except BaseException as error:
        return contexts, error
    return contexts, None


def options_of(environment: Any, given: Any, offline: bool) -> dict[str, Any]:
    """What one configure() call said, as plain values."""
    context = environment.get_context()
    opts = context.opts
    connection = None if offline else context.connection
    url, connect_args, dropped = address(connection, given.get("url"))
    tables = [
        table for one in metadatas(opts.get("target_metadata")) for table in one.tables.values()
    ]
    null = dbapi_connection(connection)
    return {
        "url": url,
        "connect_args": connect_args,
        "dropped_connect_args": dropped,
        "dialect": context.dialect.name,
        "version_table": opts.get("version_table") or "alembic_version",
        "version_table_schema": opts.get("version_table_schema"),
        "has_metadata": bool(metadatas(opts.get("target_metadata"))),
        "tables": len(tables),
        "schemas": sorted({table.schema for table in tables if table.schema}),
        "naming_convention": any(
            len(one.naming_convention or {}) > 1 for one in metadatas(opts.get("target_metadata"))
        ),
        "include_schemas": bool(opts.get("include_schemas")),
        "render_as_batch": bool(opts.get("render_as_batch")),
        "compare_type": bool(opts.get("compare_type", True)),
        "compare_server_default": bool(opts.get("compare_server_default", False)),
        "transaction_per_migration": bool(opts.get("transaction_per_migration")),
        "transactional_ddl": opts.get("transactional_ddl"),
        "search_path": null.search_path if isinstance(null, Null) else None,
        "locations": [str(Path(p).absolute()) for p in environment.script._version_locations],
        "offline": offline,
    }


def metadatas(target: Any) -> list[Any]:
    """A MetaData, a list of them, classes that hold one, or None, as a list."""
    if target is None:
        return []
    entries = target if isinstance(target, (list, tuple, set)) else [target]
    found = [e if _is_metadata(e) else getattr(e, "metadata", None) for e in entries]
    return [entry for entry in found if _is_metadata(entry)]


def _is_metadata(entry: Any) -> bool:
    # not by its sorted_tables: that is a property, and sorts them each time it is looked at
    return hasattr(entry, "tables") and hasattr(entry, "naming_convention")


def address(connection: Any, given: Any) -> tuple[str | None, dict[str, Any], list[str]]:
    """(URL with its password, connect_args, names of arguments that are no plain values)."""
    from sqlalchemy.engine.url import make_url

    if connection is None:
        return (_text_of(make_url(given)) if given else None), {}, []
    url, dialect = connection.engine.url, connection.dialect
    args, keywords, direct = getattr(dialect, "_migdoctor_arguments", ((), {}, False))
    if direct:
        wanted, extra = _from_driver(dialect, args, keywords)
        if not wanted:
            return None, {}, sorted(keywords)
        url = _url(url.drivername, wanted, {})
    else:
        base_args, base = dialect.create_connect_args(url)
        extra = {k: v for k, v in keywords.items() if k not in base or base[k] != v}
        wanted = {FIELDS[k]: extra.pop(k) for k in list(extra) if k in FIELDS}
        if args and list(args) != list(base_args) and isinstance(args[0], str):
            wanted["database"] = args[0]
        if any(isinstance(value, (str, int)) for value in wanted.values()):
            parts = {n: getattr(url, n) for n in set(FIELDS.values())}
            parts.update({k: v for k, v in wanted.items() if isinstance(v, (str, int))})
            url = _url(url.drivername, parts, url.query)
    plain = {name: value for name, value in extra.items() if _plain(value)}
    return _text_of(url), plain, sorted(set(extra) - set(plain))


def _from_driver(dialect: Any, args: Any, keywords: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(URL fields, other arguments) of a call that a creator= made to its driver."""
    from sqlalchemy.engine.url import make_url

    rest = dict(keywords)
    wanted = {FIELDS[k]: rest.pop(k) for k in list(rest) if k in FIELDS}
    dsn = next((str(a) for a in args if isinstance(a, (str, os.PathLike))), rest.pop("dsn", None))
    dsn = dsn or rest.pop("conninfo", None)
    if dialect.name == "sqlite":
        if dsn:
            wanted["database"] = re.sub(r"^file:([^?]*).*", r"\1", dsn)
    elif dsn and "://" in dsn:
        url = make_url(dsn)
        wanted.update({n: getattr(url, n) for n in set(FIELDS.values()) if getattr(url, n)})
        rest.update(url.query)
    elif dsn:
        for name, value in re.findall(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", dsn):
            value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == "'" else value
            (wanted if name in FIELDS else rest)[FIELDS.get(name, name)] = value
    return wanted, rest


def _url(drivername: Any, parts: Any, query: Any) -> Any:
    from sqlalchemy.engine.url import URL

    make: Any = getattr(URL, "create", URL)
    parts = {k: v for k, v in parts.items() if v not in (None, "")}
    if "port" in parts:
        parts["port"] = int(parts["port"])
    if str(parts.get("host", "")).startswith("/"):
        query = dict(query, host=parts.pop("host"))
    return make(drivername, query=dict(query), **parts)


def _text_of(url: Any) -> str:
    shown = getattr(url, "render_as_string", None)  # SQLAlchemy 1.3 has none, str() shows all
    return str(shown(hide_password=False) if shown else url)


def _plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
