"""Which requests are allowed: decisions on tokens, hosts, origins and the address that is bound.

There are three dangers. Another machine on the network: it needs a token, and without one only
loopback is bound. A web page whose name points to this machine (DNS rebinding): the Host header
must be one of ours. A web page that sends requests from the browser of an allowed user: its Origin
is refused.
"""

from __future__ import annotations

import hmac
import logging
import re
from enum import Enum
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.domain.hint import Command, Hint

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from claude_tasks.tokens import Tokens, TokenWatch

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing (RFC 9110, 9.2.1)."""

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (recognised here, bound nowhere)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_][a-z0-9._-]*))(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s]+)")
_BEARER = b"bearer "


class Access(Enum):
    """How much a client may do."""

    READ = "read"
    FULL = "full"


class TokenCheck:
    """Compares what a client sends with the tokens, in constant time.

    Both sides are hashed first, and all tokens are always compared, so the time reveals neither
    length nor content.
    """

    def __init__(self, tokens: Tokens, *, watch: TokenWatch | None = None) -> None:
        """Only digests are kept. ``watch`` tells when the tokens changed."""
        self._watch = watch
        self._known: list[tuple[bytes, Access]] = []
        self.required = False
        """Whether a token is required. Once true it stays true: a token file that is removed, or
        cannot be used, must not open the API."""
        self._take(tokens)

    def look(self) -> None:
        """Read changed tokens. Where they cannot be used, all clients are refused; it is logged.

        Called for each request: while nothing changed it costs almost nothing.
        """
        if self._watch is None or not self._watch.changed():
            return
        try:
            tokens = self._watch.read()
        except ConfigurationError as error:
            self.required = True
            self._known = []
            message = error.message if error.hint is None else f"{error.message} ({error.hint})"
            log.error("nobody is let in: %s", message)  # noqa: TRY400 (a person's, not a bug's)
            return
        self._take(tokens)
        if self.required and not self._known:
            log.error("nobody is let in: the token is gone (%s)", Command("token", "new"))

    def _take(self, tokens: Tokens) -> None:
        given = ((tokens.full, Access.FULL), (tokens.read, Access.READ))
        self._known = [
            (token_digest(token.encode()), access) for token, access in given if token is not None
        ]
        self.required = self.required or bool(self._known)

    def check(self, authorization: bytes | None) -> Access | None:
        """The access that an ``Authorization`` header gives, None for none."""
        if not self.required:
            return Access.FULL
        token = bearer_token(authorization)
        return None if token is None else self.access_of(token_digest(token))

    def still_opens(self, digest: bytes | None) -> bool:
        """Whether a client that was let in with this token, or without one, would be let in now."""
        self.look()
        return not self.required or (digest is not None and self.access_of(digest) is not None)

    def access_of(self, digest: bytes) -> Access | None:
        """What the token of this digest opens."""
        found = None
        for known, access in self._known:
            if hmac.compare_digest(known, digest):
                found = access
        return found


def bearer_token(authorization: bytes | None) -> bytes | None:
    """The token of a header ``Bearer TOKEN`` (RFC 6750), None without one. The scheme in any case.

    The token is not trimmed: a trailing space makes it wrong.
    """
    if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    return authorization[len(_BEARER) :].lstrip(b" ") or None


def token_digest(token: bytes) -> bytes:
    """The digest that is stored and compared instead of a token."""
    return sha256(token).digest()


class Authority(NamedTuple):
    """A host, lower case, an IPv6 literal without brackets and shortened; and the port if named."""

    name: str
    port: int | None


class HostRule(NamedTuple):
    """Which Host headers are ours: ``names`` with any port, ``authorities`` with theirs."""

    names: frozenset[str]
    authorities: frozenset[Authority] = frozenset()
    any_address: bool = False


def host_rule(bound: str, *, configured: str, hostname: str) -> HostRule:
    """The rule for a server that binds ``bound``, on a machine called ``hostname``.

    ``configured`` is the setting: ``name`` or ``name:port``, separated by commas. Errors:
    `ConfigurationError`.
    """
    entries = [_configured(entry.strip()) for entry in configured.split(",") if entry.strip()]
    names = {*_LOOPBACK_NAMES, *(entry.name for entry in entries if entry.port is None)}
    bound = _literal(bound)
    machine = hostname.lower().removesuffix(".")
    if not is_loopback(bound) and machine:
        names.add(machine)
    if bound in _WILDCARDS and machine:
        names.add(f"{machine.removesuffix('.local')}.local")
    if bound not in _WILDCARDS:
        names.add(bound)
    authorities = frozenset(entry for entry in entries if entry.port is not None)
    return HostRule(frozenset(names), authorities, any_address=bound in _WILDCARDS)


def host_allowed(host: bytes | None, rule: HostRule) -> bool:
    """Whether a Host header names this server. None, and two of them joined, never do."""
    authority = _authority(host)
    if authority is None:
        return False
    if authority.name in rule.names or (rule.any_address and _address(authority.name) is not None):
        return True
    # A client omits the default port, and a proxy may have ended TLS, so 80 and 443 both count.
    ports = _DEFAULT_PORTS.values() if authority.port is None else (authority.port,)
    return any(Authority(authority.name, port) in rule.authorities for port in ports)


def cors_origin(setting: str | None) -> bytes | None:
    """The one foreign origin that is let in, as browsers send it. Errors: `ConfigurationError`."""
    if not setting:
        return None
    origin = setting.strip().lower().removesuffix("/")
    if not origin.isascii() or _ORIGIN.fullmatch(origin) is None or "*" in origin:
        raise ConfigurationError(
            f"CLAUDE_TASKS_CORS_ORIGIN: {setting!r} is not one origin",
            hint="write it as the browser sends it, e.g. https://tasks.example.org",
        )
    return origin.encode()


def origin_allowed(origin: bytes | None, host: bytes | None, allowed: bytes | None) -> bool:
    """Whether a request with this ``Origin`` may go on: none, the server's own, or ``allowed``."""
    if origin is None or (allowed is not None and origin == allowed):
        return True
    match = _ORIGIN.fullmatch(origin.decode("latin-1").lower())
    if match is None or match[1] not in _DEFAULT_PORTS:
        return False
    theirs, ours = _authority(match[2].encode("latin-1")), _authority(host)
    if theirs is None or ours is None:
        return False
    default = _DEFAULT_PORTS[match[1]]
    return (theirs.name, theirs.port or default) == (ours.name, ours.port or default)


def fetch_allowed(method: str, origin: bytes | None, fetch_site: bytes | None) -> bool:
    """Whether ``Sec-Fetch-Site`` (W3C Fetch Metadata) lets a request pass that has no ``Origin``.

    Only requests from our own page or typed into the address bar may change anything. Clients other
    than browsers send neither header.
    """
    if method in SAFE_METHODS or origin is not None or fetch_site is None:
        return True
    return fetch_site in (b"same-origin", b"none")


def is_loopback(host: str) -> bool:
    """Whether what binds ``host`` can be reached from this machine only.

    A name other than localhost is not resolved: what it means may change.
    """
    host = _literal(host)
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def refuse_open_exposure(host: str, tokens: Tokens, *, insecure: bool) -> None:
    """Errors: `ConfigurationError` where strangers could reach a server that asks for no token."""
    if insecure or is_loopback(host) or tokens.full is not None or tokens.read is not None:
        return
    raise ConfigurationError(
        f"{host or 'every address'} without a token would be open to everyone who can reach this "
        "machine; whoever can add a task can run code",
        hint=Hint(Command("token", "new"), ", then start again; or --insecure-no-auth"),
    )


def _configured(entry: str) -> Authority:
    bare = _address(entry)  # an IPv6 address may stand without brackets, and then without a port
    authority = _authority(entry.encode()) if bare is None else Authority(str(bare), None)
    if authority is None:
        raise ConfigurationError(
            f"CLAUDE_TASKS_ALLOWED_HOSTS: {entry!r} is not a host",
            hint="names or name:port, separated by commas, e.g. tasks.example.org,box.lan:8080",
        )
    return authority


def _authority(header: bytes | None) -> Authority | None:
    """``host[:port]`` of RFC 3986, None for anything else. One dot at the end is no difference."""
    match = _AUTHORITY.fullmatch((header or b"").decode("latin-1").lower())
    if match is None:
        return None
    literal, name, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and port > _HIGHEST_PORT:
        return None
    if literal is None:
        return Authority(name.removesuffix("."), port)
    address = _address(literal) if ":" in literal else None
    return None if address is None else Authority(str(address), port)


def _literal(bound: str) -> str:
    """A bound host as a Host header would name it: without brackets and IPv6 zone."""
    host = bound.strip().lower().removeprefix("[").removesuffix("]").partition("%")[0]
    address = _address(host)
    return host.removesuffix(".") if address is None else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
