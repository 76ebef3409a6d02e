"""Who may ask: tokens, hosts, origins, exposure; decisions without a server."""

from __future__ import annotations

import hmac

import pytest

from claude_tasks.api import authorization as module
from claude_tasks.api.authorization import (
    Access,
    TokenCheck,
    cors_origin,
    fetch_allowed,
    host_allowed,
    host_rule,
    is_loopback,
    origin_allowed,
    refuse_open_exposure,
)
from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.tokens import Tokens

FULL = "the-full-token-0123456789"
READ = "the-read-token-0123456789"
BOTH = TokenCheck(Tokens(FULL, READ))


def test_each_token_opens_what_it_is_for() -> None:
    assert BOTH.check(b"Bearer " + FULL.encode()) is Access.FULL
    assert BOTH.check(b"Bearer " + READ.encode()) is Access.READ


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"Bearer   "])
def test_the_scheme_is_taken_in_any_case(scheme: bytes) -> None:
    assert BOTH.check(scheme + FULL.encode()) is Access.FULL


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        FULL.encode(),
        b"Basic " + FULL.encode(),
        b"Bearer\t" + FULL.encode(),
        b"Bearer " + FULL[:-1].encode(),
        b"Bearer " + FULL.encode() + b"0",
        b"Bearer " + FULL.encode() + b" ",
        b"Bearer " + FULL.upper().encode(),
        b"Bearer " + FULL.encode() + b", Bearer " + FULL.encode(),
        b"Bearer \xff\xfe",
    ],
)
def test_nothing_else_opens_anything(header: bytes | None) -> None:
    assert BOTH.check(header) is None


def test_without_tokens_everyone_may_do_everything() -> None:
    check = TokenCheck(Tokens(None, None))
    assert not check.required
    assert check.check(None) is Access.FULL
    assert check.check(b"Bearer whatever") is Access.FULL


def test_with_a_read_only_token_alone_nobody_has_full_access() -> None:
    check = TokenCheck(Tokens(None, READ))
    assert check.required
    assert check.check(b"Bearer " + READ.encode()) is Access.READ
    assert check.check(None) is None
    assert check.check(b"Bearer " + FULL.encode()) is None


@pytest.mark.parametrize("token", [FULL, READ, "wrong-token-of-some-length"])
def test_every_token_is_compared_in_constant_time(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    class Watched:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append((len(one), len(other)))
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(module, "hmac", Watched)
    BOTH.check(b"Bearer " + token.encode())
    assert compared == [(32, 32), (32, 32)]


LOOPBACK = host_rule("127.0.0.1", configured="", hostname="box")
ADDRESS = host_rule("192.168.1.5", configured="tasks.example,web.example:8443", hostname="Box")
WILDCARD = host_rule("0.0.0.0", configured="", hostname="box")


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"localhost:8080", b"LocalHost", b"localhost.", b"localhost.:80", b"127.0.0.1",
     b"127.0.0.1:9", b"[::1]", b"[::1]:8080", b"[0:0:0:0:0:0:0:1]", b"localhost:"],
)  # fmt: skip
@pytest.mark.parametrize("rule", [LOOPBACK, ADDRESS, WILDCARD])
def test_loopback_names_are_always_ours(host: bytes, rule: module.HostRule) -> None:
    assert host_allowed(host, rule)


@pytest.mark.parametrize(
    "host",
    [None, b"", b".", b"evil.example", b"localhost.evil.example", b"evil.example:8080", b"box",
     b"localhost, localhost", b"localhost localhost", b"user@localhost", b"localhost/", b"::1",
     b"localhost:x", b"localhost:99999", b"localhost:123456", b"[::1", b"[localhost]",
     b"[127.0.0.1]", b"localhost..", b"localhost\x00", b"http://localhost", b"0x7f.1",
     b"127.0.0.2", b"192.168.1.5", b"loc\xe4lhost", b"*", b"localhost\n", b"[::1]evil"],
)  # fmt: skip
def test_on_loopback_any_other_name_is_refused(host: bytes | None) -> None:
    assert not host_allowed(host, LOOPBACK)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (b"192.168.1.5:8080", True),
        (b"box", True),
        (b"BOX:1", True),
        (b"tasks.example", True),
        (b"tasks.example:1234", True),
        (b"TASKS.example.", True),
        (b"web.example:8443", True),
        (b"web.example", False),
        (b"web.example:8080", False),
        (b"192.168.1.6", False),
        (b"box.local", False),
        (b"sub.tasks.example", False),
    ],
)
def test_bound_to_one_address_it_and_the_configured_names_are_ours(
    host: bytes, *, allowed: bool
) -> None:
    assert host_allowed(host, ADDRESS) is allowed


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "", "[::]"])
@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (b"10.1.2.3:8080", True),
        (b"[fe80::1]:8080", True),
        (b"box", True),
        (b"box.local", True),
        (b"box.local.evil.example", False),
        (b"evil.example", False),
        (b"10.1.2.3.4", False),
        (b"10.1.2.3.evil.example", False),
    ],
)
def test_bound_to_every_address_any_literal_is_ours_and_no_foreign_name(
    bound: str, host: bytes, *, allowed: bool
) -> None:
    assert host_allowed(host, host_rule(bound, configured="", hostname="box")) is allowed


def test_a_name_with_the_default_port_is_ours_without_it_too() -> None:
    rule = host_rule("127.0.0.1", configured="web.example:443", hostname="box")
    assert host_allowed(b"web.example", rule)
    assert not host_allowed(b"web.example:8080", rule)


def test_ipv6_is_compared_by_value() -> None:
    rule = host_rule("fd00::5%eth0", configured="2001:db8::1, [2001:db8::2]:8080", hostname="box")
    assert host_allowed(b"[FD00:0:0::5]:8080", rule)
    assert host_allowed(b"[2001:0db8::0001]", rule)
    assert host_allowed(b"[2001:db8:0::2]:8080", rule)
    assert not host_allowed(b"[2001:db8::2]:8081", rule)


@pytest.mark.parametrize("configured", ["http://x", "a b", "*.example.org", "x:port", "x/y"])
def test_a_configured_name_that_is_none_is_refused(configured: str) -> None:
    with pytest.raises(ConfigurationError, match="CLAUDE_TASKS_ALLOWED_HOSTS"):
        host_rule("127.0.0.1", configured=configured, hostname="box")


APP = b"https://app.example"


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, b"localhost:8080", True),
        (b"http://localhost:8080", b"localhost:8080", True),
        (b"https://localhost:8080", b"localhost:8080", True),
        (b"http://LOCALHOST:8080", b"localhost:8080", True),
        (b"http://tasks.example", b"tasks.example", True),
        (b"http://tasks.example:80", b"tasks.example", True),
        (b"https://tasks.example", b"tasks.example:443", True),
        (b"http://[::1]:8080", b"[::1]:8080", True),
        (APP, b"localhost:8080", True),
        (APP + b"/", b"localhost:8080", False),
        (b"http://app.example", b"localhost:8080", False),
        (b"https://app.example:8443", b"localhost:8080", False),
        (b"https://app.example.evil", b"localhost:8080", False),
        (b"null", b"localhost:8080", False),
        (b"", b"localhost:8080", False),
        (b"http://localhost:8081", b"localhost:8080", False),
        (b"http://localhost", b"localhost:8080", False),
        (b"http://127.0.0.1:8080", b"localhost:8080", False),
        (b"http://localhost:8080.evil.example", b"localhost:8080", False),
        (b"http://localhost:8080@evil.example", b"localhost:8080", False),
        (b"ftp://localhost:8080", b"localhost:8080", False),
        (b"https://tasks.example:80", b"tasks.example:443", False),
        (b"http://localhost:8080, http://evil", b"localhost:8080", False),
        (b"http://localhost:8080/path", b"localhost:8080", False),
        (b"http://localhost:8080", None, False),
    ],
)
def test_an_origin_is_ours_or_the_one_configured(
    origin: bytes | None, host: bytes | None, *, allowed: bool
) -> None:
    assert origin_allowed(origin, host, APP) is allowed


def test_without_a_configured_origin_every_foreign_one_is_refused() -> None:
    assert not origin_allowed(APP, b"localhost", None)
    assert not origin_allowed(b"null", b"localhost", None)


def test_the_configured_origin_is_taken_as_browsers_send_it() -> None:
    assert cors_origin(None) is None
    assert cors_origin("") is None
    assert cors_origin("https://App.Example/") == APP
    assert cors_origin("capacitor://localhost") == b"capacitor://localhost"


@pytest.mark.parametrize("setting", ["*", "null", "app.example", "https://a b", "https://*.example",
                                     "https://app.example/path", "https://a.example,https://b",
                                     "https://a.example, https://b"])  # fmt: skip
def test_a_configured_origin_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="CLAUDE_TASKS_CORS_ORIGIN"):
        cors_origin(setting)


@pytest.mark.parametrize(
    ("method", "origin", "site", "allowed"),
    [
        ("POST", None, None, True),
        ("POST", None, b"same-origin", True),
        ("POST", None, b"none", True),
        ("POST", None, b"cross-site", False),
        ("DELETE", None, b"same-site", False),
        ("POST", None, b"same-origin, cross-site", False),
        ("POST", APP, b"cross-site", True),
        ("GET", None, b"cross-site", True),
        ("HEAD", None, b"cross-site", True),
    ],
)
def test_what_another_site_causes_may_change_nothing(
    method: str, origin: bytes | None, site: bytes | None, *, allowed: bool
) -> None:
    assert fetch_allowed(method, origin, site) is allowed


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("localhost.example", False),
        ("box", False),
    ],
)
def test_only_loopback_is_open_without_a_token(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    refuse_open_exposure(host, Tokens(FULL, None), insecure=False)
    refuse_open_exposure(host, Tokens(None, READ), insecure=False)
    refuse_open_exposure(host, Tokens(None, None), insecure=True)
    if loopback:
        refuse_open_exposure(host, Tokens(None, None), insecure=False)
        return
    with pytest.raises(ConfigurationError, match="can run code") as refused:
        refuse_open_exposure(host, Tokens(None, None), insecure=False)
    assert "claude-tasks token new" in str(refused.value.hint)
    assert "--insecure-no-auth" in str(refused.value.hint)
