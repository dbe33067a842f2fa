"""Address: what a ``postgresql://`` URL says, to libpq and to Keepstep. Its password is shown to nobody.

``postgresql://user:password@host:port/database?schema=orders&sslmode=verify-full``: everything that libpq knows goes to
libpq (several hosts, ``sslmode``, ``passfile``, ``service`` …); what is Keepstep's own is taken out first:

``schema``
    where the tables lie (``keepstep``); each schema is a journal of its own
``shards``
    how many shards a new journal gets (16); fixed from then on
``pooled``
    ``true`` behind a pooler that gives each transaction another session (PgBouncer's transaction mode)
``direct``
    ``host:port`` of the server behind that pooler (several with commas), for what wants a session: hearing hints
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from keepstep.journal.errors import InvalidInput

SCHEMES = ("postgresql", "postgres")

SHARDS_DEFAULT = 16
SHARDS_MAX = 1024

_DIRECT = re.compile(r"[^\s:,/@]+:[0-9]{1,5}(,[^\s:,/@]+:[0-9]{1,5})*\Z")

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")

FORM = "postgresql://user:password@host:5432/database?schema=keepstep"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a journal is."""

    conninfo: str
    """For libpq; may hold a password."""
    schema: str
    shards: int
    pooled: bool
    direct: str = ""
    """``host:port`` of the server behind the pooler, where that is said."""
    shown: str
    """For people: without passwords."""

    def behind_the_pooler(self) -> Address | None:
        """The server itself; None where nobody has said which it is."""
        if not self.pooled:
            return self
        if not self.direct:
            return None
        hosts, ports = zip(*(place.split(":") for place in self.direct.split(",")), strict=True)
        known = conninfo_to_dict(self.conninfo) | {"host": ",".join(hosts), "port": ",".join(ports)}
        known.pop("hostaddr", None)
        return msgspec.structs.replace(self, conninfo=make_conninfo("", **known), pooled=False)


def parse_address(url: str) -> Address:
    """Raises ``InvalidInput``, which never quotes a password."""
    try:
        parts = urlsplit(url)
        port_is_plain = parts.netloc.count(",") or parts.port is None or parts.port
    except ValueError:
        port_is_plain = False
    if not port_is_plain or parts.scheme not in SCHEMES or parts.fragment:
        raise InvalidInput(f"{hide_password(url)!r} is not a PostgreSQL URL; write {FORM}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = options.pop("schema", "keepstep")
    shards = options.pop("shards", str(SHARDS_DEFAULT))
    pooled = options.pop("pooled", "false")
    if not _SCHEMA.match(schema) or schema.startswith("pg_"):
        raise InvalidInput(f"schema {schema!r} is no name for a schema: use a-z, 0-9 and _, up to 63 of them")
    if not shards.isdecimal() or not 1 <= int(shards) <= SHARDS_MAX:
        raise InvalidInput(f"shards={shards} is not a number from 1 to {SHARDS_MAX}")
    if pooled not in ("true", "false"):
        raise InvalidInput(f"pooled={pooled} is neither true nor false")
    direct = options.pop("direct", "")
    if direct and (pooled == "false" or not _DIRECT.match(direct)):
        raise InvalidInput(
            f"direct={direct} does not name the server behind a pooler; write pooled=true&direct=host:port"
        )
    options = _known_to_libpq(options)
    conninfo = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(options, quote_via=quote), ""))
    return Address(
        conninfo=conninfo,
        schema=schema,
        shards=int(shards),
        pooled=pooled == "true",
        direct=direct,
        shown=_shown(parts.netloc, parts.path, schema),
    )


def _known_to_libpq(options: dict[str, str]) -> dict[str, str]:
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    unknown = sorted(options.keys() - known)
    if unknown:
        raise InvalidInput(f"the database URL has an option that is not known: {unknown[0]!r}; see docs/postgres.md")
    return options


def _shown(netloc: str, path: str, schema: str) -> str:
    user, at, hosts = netloc.rpartition("@")
    name = user.partition(":")[0]
    return f"postgresql://{name}{at}{hosts}{path}?schema={schema}"


def hide_password(url: str) -> str:
    """The URL with stars where a password may be."""
    url = re.sub(r"//([^/?#]*?):[^/?#]*@", r"//\1:***@", url)
    return re.sub(r"(password|sslpassword)=[^&#]*", r"\1=***", url)
