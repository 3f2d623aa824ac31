"""Where a database is: URLs of any driver mapped to our own, and never a secret in a text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

from migdoctor.errors import CannotConnect, UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

_SECRET = re.compile(r"(?i)(pass(?!file)|pwd|secret|token|credential|api_?key)")
# A SQLite URL without query and escapes: read as SQLAlchemy reads it, but without its import.
_PLAIN = re.compile(r"sqlite(?:\+\w+)?:///([^?%\n]*)")
# Keywords that libpq knows (PostgreSQL manual, "Parameter Key Words"); others belong to a driver.
_LIBPQ = re.compile(
    r"host|hostaddr|port|dbname|user|password|passfile|require_auth|channel_binding"
    r"|connect_timeout|client_encoding|options|(fallback_)?application_name"
    r"|keepalives(_idle|_interval|_count)?|tcp_user_timeout|gssencmode|krbsrvname|gsslib"
    r"|gssdelegation|ssl(mode|negotiation|compression|cert|key|password|certmode|rootcert|crl"
    r"|crldir|sni)|ssl_m(in|ax)_protocol_version|requirepeer|service|servicefile"
    r"|target_session_attrs|load_balance_hosts"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is, in the words of our own driver.

    `url` holds the secret and never becomes text for people: use `masked`.
    """

    url: str
    connect_args: Mapping[str, object] = field(default_factory=dict)

    @property
    def dialect(self) -> str:
        """ "postgresql" or "sqlite"."""
        return "sqlite" if self.url.startswith("sqlite") else "postgresql"

    @property
    def path(self) -> Path | None:
        """The absolute path of a SQLite file, None on PostgreSQL."""
        return Path(self.url.removeprefix("sqlite:///")) if self.dialect == "sqlite" else None

    @property
    def masked(self) -> str:
        """The URL with password and secret-looking query values as ***."""
        return self.url if self.path else mask_url(self.url)

    @property
    def host(self) -> str:
        """The server's host name or socket folder, "" for a SQLite file."""
        return "" if self.path else _place(self)[0]

    def same_as(self, other: "Address") -> bool:
        """Whether both lead to one database: same resolved file, or host, port and name."""
        if self.path and other.path:
            return self.path.resolve() == other.path.resolve()
        return self.dialect == other.dialect and _place(self) == _place(other)

    def secrets(self) -> tuple[str, ...]:
        """Every text that must not be shown, as given and as quoted in a URL."""
        if self.path:
            return ()
        parsed = parse_url(self.url)
        found = [str(parsed.password)] if parsed.password else []
        given = [*parsed.query.items(), *self.connect_args.items()]
        found += [str(value) for name, value in given if _SECRET.search(name)]
        return tuple(dict.fromkeys(t for s in found if s for t in (s, quote(s, ""), quote_plus(s))))

    def mask(self, text: str) -> str:
        """`text` without the secrets of this address."""
        for secret in sorted(self.secrets(), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        return text

    def __repr__(self) -> str:
        return f"Address({self.masked})"


def mask_url(url: str) -> str:
    """A URL (of any engine) with password and secret-looking query values as ***."""
    try:
        parsed = parse_url(url)
    except UsageError:
        return re.sub(r"(?<=:)[^:@/]*(?=@)", "***", url)
    query = {k: "MASKED" if _SECRET.search(k) else v for k, v in parsed.query.items()}
    engine = parsed.drivername.split("+")[0]
    text = parsed.set(drivername=engine, query=query).render_as_string(hide_password=True)
    return text.replace("=MASKED", "=***").replace("%2F", "/")


def address_of(
    url: str, connect_args: Mapping[str, object] | None = None, base: Path | None = None
) -> Address:
    """The address behind a project's URL and connect arguments, mapped to our own driver.

    A relative SQLite path is resolved against `base` (default: the current folder). Raises
    UsageError where the text is no URL, CannotConnect for an engine that is not treated.
    """
    if plain := _PLAIN.fullmatch(url):
        return _sqlite_address(plain[1], base or Path.cwd())
    parsed = parse_url(url)
    engine = parsed.drivername.split("+")[0]
    if engine in ("postgres", "postgresql"):
        return _postgresql_address(parsed, dict(connect_args or {}))
    if engine == "sqlite":
        memory = parsed.query.get("mode") == "memory"
        return _sqlite_address("" if memory else parsed.database or "", base or Path.cwd())
    raise CannotConnect(
        f"The database is of an engine that is not treated: {engine}.",
        "PostgreSQL and SQLite are; name such a database with --url.",
    )


def parse_url(url: str) -> "URL":
    """SQLAlchemy's reading of a URL; raises UsageError, without the password in it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # The exception's own text may quote the password; it is not passed on.
        shown = re.sub(r"//.*@", "//***@", url) if "://" in url else "(not shown)"
        raise UsageError(
            f"The database URL cannot be understood: {shown}.",
            "Write it as dialect://user:password@host:port/name; special characters of the "
            "password must be percent-encoded.",
        ) from None


def _sqlite_address(name: str, base: Path) -> Address:
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").split("?")[0])
        name = "/" + name.lstrip("/") if name.startswith("//") else name
    if name in ("", ":memory:"):
        raise CannotConnect(
            "The URL names a SQLite database in memory, which ends with its process.",
            "Point at a file, for example sqlite:///app.db.",
        )
    return Address(url=f"sqlite:///{base.absolute() / name}")


def _postgresql_address(parsed: "URL", arguments: dict[str, object]) -> Address:
    """Keep what libpq knows; translate what asyncpg and pg8000 say in their own words."""
    given: dict[str, object] = {**parsed.query, **arguments}
    kept = {
        k: v for k, v in given.items() if _LIBPQ.fullmatch(k) and isinstance(v, str | int | tuple)
    }
    ssl = given.get("ssl", given.get("ssl_context"))
    if ssl is not None and "sslmode" not in kept:
        off = ssl is False or str(ssl).lower() in ("false", "0", "off", "no")
        plain = isinstance(ssl, str) and ssl.lower() not in ("true", "1", "on", "yes")
        kept["sslmode"] = "disable" if off else str(ssl) if plain else "require"
    server = given.get("server_settings")
    if isinstance(server, Mapping):
        pairs = {str(k): str(v) for k, v in server.items() if k != "application_name"}
        kept["options"] = f"{kept.get('options', '')} {startup_options(pairs)}".strip()
    in_url = {k: v for k, v in kept.items() if k in parsed.query or k == "sslmode"}
    query = {k: v if isinstance(v, tuple) else str(v) for k, v in in_url.items()}
    url = parsed.set(drivername="postgresql+psycopg", query=query)
    rest = {k: v for k, v in kept.items() if k not in query}
    return Address(url=url.render_as_string(hide_password=False), connect_args=rest)


def _place(address: Address) -> tuple[str, str, str]:
    """Host, port and name of a PostgreSQL database, with libpq's defaults."""
    url, more = parse_url(address.url), address.connect_args
    host = more.get("host") or url.host or url.query.get("host") or "localhost"
    port = more.get("port") or url.port or url.query.get("port") or 5432
    name = more.get("dbname") or url.database or more.get("user") or url.username or ""
    known = "localhost" if host in ("127.0.0.1", "::1") else host
    return str(known), str(port), str(name)


def startup_options(settings: Mapping[str, str]) -> str:
    """Settings as libpq's `options` text; blanks and backslashes are escaped."""
    return " ".join("-c " + re.sub(r"([\\\s])", r"\\\1", f"{k}={v}") for k, v in settings.items())
