"""Where messages may go: what no address can hold is refused by name, and never repeated."""

from __future__ import annotations

import pytest

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.notification import check_address
from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.settings import SECRET_SETTINGS

UNSEEN = [
    "\r\n",
    "\n",
    "\r",
    "\t",
    " ",
    "\0",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\xa0",
    "\u2028",
    "\u202e",
    "\ud800",
]


def test_the_marked_fields_are_the_addresses_of_a_task() -> None:
    """They are hidden from who may only read: one without the mark would be shown."""
    assert tuple(ADDRESS_FIELDS) == (
        "discord_webhook",
        "slack_webhook",
        "webhook_url",
        "apprise_url",
    )
    assert set(ADDRESS_FIELDS) <= set(SECRET_SETTINGS)


@pytest.mark.parametrize("field", ADDRESS_FIELDS)
@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_an_address_has_no_spaces_and_nothing_unseen(field: str, unseen: str) -> None:
    for address in (
        f"https://hooks.example/secret{unseen}X-Forged: 1",
        f"https://hooks{unseen}.example/secret",
        f"{unseen}https://hooks.example/secret",
        f"https://hooks.example/secret{unseen}",
    ):
        with pytest.raises(InvalidInputError, match=f"^{field}: ") as refused:
            check_address(field, address)
        assert "secret" not in refused.value.message + (refused.value.hint or "")


@pytest.mark.parametrize("field", [name for name in ADDRESS_FIELDS if name != "apprise_url"])
@pytest.mark.parametrize(
    "address",
    [
        "foo",
        "ftp://hooks.example/x",
        "//hooks.example/x",
        "https://",
        "https://:443/x",
        "https://user@/x",
        "https://host:port/x",
        "https://host:0/x",
        "https://host:65536/x",
        "https://[::1/x",
        "https://a..b/x",
        f"https://{'a' * 64}.example/x",
        "https://hooks.example/<id>",
        "https://hooks.example/{id}",
        "https://hooks.example\\x",
        "https://hooks.example/ü",
        "https://hooks.example/?q=ü",
    ],
)
def test_what_no_request_could_be_sent_to_is_refused(field: str, address: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field}: "):
        check_address(field, address)


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("webhook_url", "https://hooks.example/a/b?c=d&e=%20#f"),
        ("webhook_url", "http://user:pa%3Ass@10.0.0.1:8080"),
        ("webhook_url", "HTTPS://[::1]:9/x"),
        ("slack_webhook", "https://hooks.bücher.example/T0/B0/x"),
        ("discord_webhook", "https://discord.example/api/webhooks/1/a-b_c~d"),
        ("apprise_url", "tgram://123:abc/456"),
        ("apprise_url", "mailto://user:pä{ss}@mail.example?to=a@b.example,c@d.example"),
    ],
)
def test_an_address_that_is_one_is_taken(field: str, address: str) -> None:
    check_address(field, address)
