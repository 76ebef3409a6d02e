from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.notify.channels import apprise, discord, mrkdwn, slack, webhook
from claude_tasks.notify.delivery import Attempt
from claude_tasks.notify.notice import Event, Notice
from claude_tasks.notify.text import clean, cut, fit, units
from unit.notify.notices import FAILED, TEST

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
ACCENT = "e\u0301"
HOSTILE = "<!channel> <@U1> <@&1> @everyone @here [x](!here) & <https://ok.example|x>"


def test_a_discord_message_whole() -> None:
    def inline(name: str, value: str) -> dict[str, object]:
        return {"name": name, "value": value, "inline": True}

    assert discord.payload(FAILED) == {
        "embeds": [
            {
                "title": "Nightly report started failing",
                "color": 0xD92D20,
                "description": "## Done so far\n- **3** of 5",
                "fields": [
                    {
                        "name": "Error",
                        "value": "```\nthe agent was stopped after 30 min\n```",
                        "inline": False,
                    },
                    inline("Reason", "timeout"),
                    inline("Failures in a row", "3"),
                    inline("Due", "2025-11-24T16:00:00Z"),
                    inline("Started", "2025-11-24T16:00:01.500Z"),
                    inline("Duration", "30m"),
                    inline("Cost", "$0.2500"),
                    inline("Attempt", "2"),
                    inline("Run", "42"),
                    inline("Session", "0a1b2c3d"),
                ],
                "footer": {"text": "claude-tasks 1.4.0 on worker-1"},
                "timestamp": "2025-11-24T16:30:01.500Z",
            }
        ],
        "allowed_mentions": {"parse": []},
    }


def test_a_discord_message_about_nothing_but_itself() -> None:
    assert discord.payload(TEST) == {
        "embeds": [
            {
                "title": "Test message from claude-tasks",
                "color": 0x2E90FA,
                "fields": [],
                "footer": {"text": "claude-tasks 1.4.0 on worker-1"},
            }
        ],
        "allowed_mentions": {"parse": []},
    }


def test_a_slack_message_whole() -> None:
    def text(said: str) -> dict[str, object]:
        return {"type": "mrkdwn", "text": said, "verbatim": True}

    facts = (
        "*Reason:* timeout\n*Failures in a row:* 3\n*Due:* 2025-11-24T16:00:00Z\n"
        "*Started:* 2025-11-24T16:00:01.500Z\n*Duration:* 30m\n*Cost:* $0.2500\n*Attempt:* 2\n"
        "*Run:* 42\n*Session:* 0a1b2c3d"
    )
    title = "Nightly report started failing"
    assert slack.payload(FAILED) == {
        "text": f"{title}: the agent was stopped after 30 min",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
            {"type": "section", "text": text(facts)},
            {"type": "section", "text": text("```\nthe agent was stopped after 30 min\n```")},
            {"type": "section", "text": text("*Done so far*\n• *3* of 5")},
            {"type": "context", "elements": [text("claude-tasks 1.4.0 on worker-1")]},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def test_a_slack_message_has_no_empty_blocks() -> None:
    kinds = [block["type"] for block in slack.payload(TEST)["blocks"]]
    assert kinds == ["header", "context"]


def test_a_webhook_document_whole() -> None:
    assert webhook.payload(FAILED, delivery_id="d-1") == {
        "format": 1,
        "id": "d-1",
        "event": "started_failing",
        "title": "Nightly report started failing",
        "task": {"id": 7, "name": "Nightly report"},
        "run": {
            "id": 42,
            "state": "failed",
            "reason": "timeout",
            "error": "the agent was stopped after 30 min",
            "output": "## Done so far\n- **3** of 5",
            "output_truncated": False,
            "scheduled_for": "2025-11-24T16:00:00Z",
            "started_at": "2025-11-24T16:00:01.500Z",
            "ended_at": "2025-11-24T16:30:01.500Z",
            "duration_ms": 1_800_000,
            "cost_usd": 0.25,
            "attempt": 2,
            "session_id": "0a1b2c3d",
        },
        "failures_in_a_row": 3,
        "host": "worker-1",
        "version": "1.4.0",
    }
    assert webhook.payload(TEST, delivery_id="d-2")["run"] is None


def test_a_webhook_document_says_when_the_output_is_not_whole() -> None:
    long = FAILED._replace(output="x" * (webhook.LONGEST_TEXT + 1))
    run = webhook.payload(long, delivery_id="d")["run"]
    assert run["output_truncated"] is True
    assert len(run["output"]) == webhook.LONGEST_TEXT


def test_a_signature_is_what_anybody_would_compute() -> None:
    expected = hmac.new(b"s\xc3\xa9", b"1764000000.{}", hashlib.sha256).hexdigest()
    assert webhook.signature("sé", "1764000000", b"{}") == f"sha256={expected}"
    named = webhook.headers(FAILED, b"{}", Attempt("d", "sé", 5, 1_764_000_000_999))
    assert named == {
        "X-Claude-Tasks-Event": "started_failing",
        "X-Claude-Tasks-Delivery": "d",
        "X-Claude-Tasks-Timestamp": "1764000000",
        "X-Claude-Tasks-Signature": f"sha256={expected}",
    }


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_nothing_pretends_to_be_signed(secret: str | None) -> None:
    named = webhook.headers(FAILED, b"{}", Attempt("d", secret, 5, 0))
    assert "X-Claude-Tasks-Signature" not in named


def test_an_apprise_body_whole() -> None:
    assert apprise.body(FAILED) == (
        "Reason: timeout\nFailures in a row: 3\nDue: 2025-11-24T16:00:00Z\n"
        "Started: 2025-11-24T16:00:01.500Z\nDuration: 30m\nCost: $0.2500\nAttempt: 2\nRun: 42\n"
        "Session: 0a1b2c3d\n\nthe agent was stopped after 30 min\n\n## Done so far\n- **3** of 5"
    )
    assert apprise.body(TEST) == "Test message from claude-tasks"


MARKDOWN = [
    ("**b** __b__ *i* _i_ ~~s~~ ***x***", "*b* *b* _i_ _i_ ~s~ *_x_*"),
    ("*an **inner** bold* **an _inner_ italic**", "_an *inner* bold_ *an _inner_ italic*"),
    ("# Head\n### **Bold** head ##", "*Head*\n*Bold head*"),
    ("- a\n  * b\n+ c\n1. d", "• a\n  • b\n• c\n1. d"),
    ("2 * 3 * 4, snake_case_name, a_b_c", "2 * 3 * 4, snake_case_name, a_b_c"),
    ("[a|b](https://x.y/?p=1&q=(2)|)", "<https://x.y/?p=1&amp;q=(2)%7C|a|b>"),
    ('![p](http://x.y/i.png "t") [m](mailto:a@b.c)', "<http://x.y/i.png|p> <mailto:a@b.c|m>"),
    ("see https://x.y/a_b_c. <https://q.r>", "see <https://x.y/a_b_c>. <https://q.r>"),
    ("[x](!channel) [y](javascript:1)", "[x](!channel) [y](javascript:1)"),
    ("a & b < c > d &amp;", "a &amp; b &lt; c &gt; d &amp;amp;"),
    ("`**a** <b>` ``c``", "`**a** &lt;b&gt;` `c`"),
    ("```python\n**a** [x](http://y) <!here>\n```", "```\n**a** [x](http://y) &lt;!here&gt;\n```"),
    ("~~~~\n~~~\nopen", "```\n~~~\nopen\n```"),
    ("> q **b**\n>>deep", "> q *b*\n> deep"),
    ("\\*no\\*", "*no*"),
    ("* * *", "• * *"),
]


@pytest.mark.parametrize(("markdown", "expected"), MARKDOWN)
def test_markdown_becomes_slacks_dialect(markdown: str, expected: str) -> None:
    assert mrkdwn.mrkdwn(markdown) == expected


def test_fences_in_code_cannot_end_a_slack_code_block() -> None:
    shown = mrkdwn.mrkdwn("````\n```\n<!channel>\n````")
    assert shown.count("```") == 2
    assert mrkdwn.code_block("```````\n**x**").count("```") == 2


@pytest.mark.parametrize(
    "repeated",
    ["*", "_", "**", "`", "[", "[a](", "~~", "*_", "_a *b ", "https://a[", "\\", " **a*"],
)
def test_text_made_to_be_slow_is_not(repeated: str) -> None:
    # A pattern that backtracks without end would not come back within the time of a test.
    assert units(fit(repeated * 20_000, slack.SECTION, mrkdwn.mrkdwn)) <= slack.SECTION


def test_deep_nesting_ends_in_plain_text() -> None:
    assert mrkdwn.mrkdwn("*_" * 200 + "x" + "_*" * 200).count("x") == 1


def test_nothing_in_a_slack_message_can_ping() -> None:
    hostile = FAILED._replace(
        task_name=HOSTILE, error=HOSTILE, output=HOSTILE, reason=HOSTILE, host=HOSTILE
    )
    payload = slack.payload(hostile)
    for text in _strings(payload):
        assert not re.search(r"<(?!https?://|mailto:)", text), text
        if not text.startswith("```"):  # in code Slack sees no names, and copies stay exact
            assert not re.search(r"@(everyone|here|channel)", text), text
    assert all(
        block["text"]["verbatim"] for block in payload["blocks"] if block["type"] == "section"
    )


def test_nothing_in_a_discord_message_can_ping() -> None:
    hostile = FAILED._replace(task_name=HOSTILE, output=HOSTILE, reason=HOSTILE)
    payload = discord.payload(hostile)
    assert payload["allowed_mentions"] == {"parse": []}
    assert "content" not in payload
    for text in _strings(payload):
        assert not re.search(r"<[@#]|@(everyone|here)", text), text


def test_discord_keeps_markdown_and_code_to_the_letter() -> None:
    output = "**b** [l](https://x.y) `List<@NonNull X>`\n```java\n@everyone <@1>\n```"
    assert discord.payload(FAILED._replace(output=output))["embeds"][0]["description"] == output


def test_discord_shows_names_as_they_are() -> None:
    embed = discord.payload(FAILED._replace(task_name="a_b_ *c* [x](y) `z`"))["embeds"][0]
    assert embed["title"] == "a\\_b\\_ \\*c\\* \\[x\\](y) \\`z\\` started failing"


def test_a_code_block_that_a_cut_left_open_is_closed() -> None:
    output = "```\n" + "x = 1\n" * 2000 + "```\nend"
    description = discord.payload(FAILED._replace(output=output))["embeds"][0]["description"]
    assert description.endswith("\n…\n```")
    assert description.count("```") == 2
    section = slack.payload(FAILED._replace(output=output))["blocks"][3]["text"]["text"]
    assert section.endswith("\n…\n```")
    assert section.count("```") == 2


def test_an_error_with_fences_stays_within_its_code_block() -> None:
    value = discord.payload(FAILED._replace(error="a```b````c"))["embeds"][0]["fields"][0]["value"]
    assert value.startswith("```\na")
    assert value.endswith("c\n```")
    assert value.count("```") == 2


@pytest.mark.parametrize("blank", ["", " \n\t ", "\x1b[0m"])
def test_blank_texts_leave_no_empty_parts(blank: str) -> None:
    notice = FAILED._replace(error=blank, output=blank)
    embed = discord.payload(notice)["embeds"][0]
    assert "description" not in embed
    assert embed["fields"][0]["name"] == "Reason"
    assert len(slack.payload(notice)["blocks"]) == 3


def test_a_text_is_used_to_the_last_character_that_fits() -> None:
    assert fit("x" * 10, 10) == "x" * 10
    assert fit("x" * 11, 10) == "x" * 8 + "\n…"
    assert fit("x" * 11, 10, mark="…") == "x" * 9 + "…"
    assert fit("😀" * 5, 10, mark="…") == "😀" * 5
    assert fit("😀" * 6, 10, mark="…") == "😀" * 4 + "…"
    assert fit("xx", 1) == ""


def test_an_entity_is_never_cut() -> None:
    assert fit("&&&", 11, mrkdwn.plain, mark="…") == "&amp;&amp;…"
    assert fit("[abcdef](https://x.y)", 19, mrkdwn.mrkdwn, mark="").startswith("[abcdef]")


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("a" + FAMILY, 3, "a"),
        ("a" + FAMILY, 8, "a" + FAMILY),
        ("a" + FAMILY + "b", 8, "a" + FAMILY),
        ("a" + ACCENT + "b", 2, "a"),
        ("👍🏽👍🏽", 3, "👍🏽"),
        ("x🇪🇺", 2, "x"),
        ("e" + "\u0301" * 100, 50, "e" + "\u0301" * 49),
        ("ab", 0, ""),
    ],
)
def test_a_cut_falls_between_what_people_see_as_characters(
    text: str, size: int, expected: str
) -> None:
    assert cut(text, size) == expected


def test_terminal_control_and_broken_surrogates_do_not_reach_a_channel() -> None:
    assert clean("\x1b[31mred\x1b[0m\r\n\x00\x07tab\t\ud83d \x1b]0;t\x07end") == (
        "red\ntab\t\ufffd end"
    )


MARKS = "``` ` ** _ <!channel> & < > # - | \\ ~~ [l](https://x.y) https://x.y/z @everyone 😀"
PIECES = st.sampled_from(
    [*MARKS.split(), " ", "\n", "# ", "- ", FAMILY, ACCENT, "\ud83d", "\x1b[1m"]
)
TEXT = st.lists(
    st.tuples(st.one_of(PIECES, st.text(max_size=20)), st.sampled_from([1, 2, 50, 2000])),
    max_size=6,
).map(lambda parts: "".join(piece * times for piece, times in parts))
NOTICES = st.builds(
    Notice,
    event=st.sampled_from(Event),
    task_id=st.one_of(st.none(), st.integers(0)),
    task_name=TEXT,
    run_id=st.one_of(st.none(), st.integers(0)),
    state=st.sampled_from([None, "failed"]),
    reason=st.one_of(st.none(), TEXT),
    error=st.one_of(st.none(), TEXT),
    output=TEXT,
    scheduled_for=st.one_of(st.none(), st.integers(0, 10**13)),
    started_at=st.one_of(st.none(), st.integers(0, 10**13)),
    ended_at=st.one_of(st.none(), st.integers(0, 10**13)),
    duration_ms=st.one_of(st.none(), st.integers(0, 10**12)),
    cost_usd=st.one_of(st.none(), st.floats(0, 1e9)),
    attempt=st.integers(0, 100),
    session_id=st.one_of(st.none(), TEXT),
    host=TEXT,
    version=TEXT,
    failures_in_a_row=st.integers(0, 10**6),
)


@given(NOTICES)
def test_discords_limits_hold_for_every_notice(notice: Notice) -> None:
    payload = discord.payload(notice)
    (embed,) = payload["embeds"]
    assert 0 < units(embed["title"].strip()) <= 256
    assert units(embed["footer"]["text"]) <= 2048
    assert units(embed.get("description", "-")) <= 4096
    assert embed.get("description", "-").strip()
    assert embed.get("description", "").count("```") % 2 == 0
    assert len(embed["fields"]) <= 25
    assert all(0 < units(field["value"].strip()) <= 1024 for field in embed["fields"])
    assert discord.size(embed) <= 6000
    _is_valid(payload)


@given(NOTICES)
def test_slacks_limits_and_escapes_hold_for_every_notice(notice: Notice) -> None:
    payload = slack.payload(notice)
    header, *others = payload["blocks"]
    assert 0 < units(header["text"]["text"].strip()) <= 150
    assert len(payload["blocks"]) <= 50
    for block in others:
        for text in [block["text"]] if "text" in block else block["elements"]:
            assert 0 < units(text["text"].strip()) <= 3000
    for text in _strings(payload):
        assert not re.search(r"<(?!https?://|mailto:)|&(?!amp;|lt;|gt;)", text)
    _is_valid(payload)


@given(NOTICES)
def test_webhook_and_apprise_texts_are_valid_for_every_notice(notice: Notice) -> None:
    _is_valid(webhook.payload(notice, delivery_id="d"))
    body = apprise.body(notice)
    assert 0 < units(body) <= apprise.BODY
    body.encode()


@given(TEXT, st.integers(1, 300))
def test_a_fitted_text_fits_and_encodes(text: str, limit: int) -> None:
    for render in (str, mrkdwn.mrkdwn, mrkdwn.plain, discord.markdown, discord.plain):
        fitted = fit(clean(text), limit, render)
        assert units(fitted) <= limit
        fitted.encode()


def _is_valid(payload: dict[str, Any]) -> None:
    sent = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(sent) == payload


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []
