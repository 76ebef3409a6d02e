"""What the OpenAPI document promises is so, whatever a client makes of it."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from claude_tasks import __version__
from claude_tasks.api.endpoints import ENDPOINTS
from claude_tasks.api.openapi import document
from support.profile import FULL, examples
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.api.endpoint import Endpoint
    from support.installation import Installation

TOKEN = "a-token-that-only-this-test-knows"
EXAMPLES = examples(quick=20, full=100)
KNOWN = 8
"""Tasks and runs that are there from the start."""

SCHEMATHESIS = {
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "generation": {"deterministic": True, "database": "none"},
    # Its examples are made when tests are collected, in each worker: seconds of processor time.
    "phases": {"coverage": {"enabled": FULL}},
    "checks": {
        # Its wrong tokens meet the limit on guesses: 429. The test of tokens below stands in.
        "ignored_auth": {"enabled": False},
        # Ids are made up, and tasks edited by others meanwhile.
        "positive_data_acceptance": {"expected-statuses": [200, 201, 202, 204, 404, 409, 412]},
        "negative_data_rejection": {"expected-statuses": [400, 401, 404, 405, 412, 415]},
    },
}

_words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)
_instants = st.integers(0, 4_000_000_000).map(
    lambda seconds: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
FORMATS: dict[str, st.SearchStrategy[str]] = {
    "agent-flag": st.text(string.ascii_lowercase, min_size=1).map("--x-{}".format),
    "cron": st.sampled_from(
        ["", "0 3 * * *", "30 0 9 * * MON", "@daily", "@every 90s", "0 0 L * *"]
    ),
    "date-time": _instants.map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
    "prompt": _words.map("do {}".format),
    "task-name": st.text(string.ascii_letters + string.digits, min_size=1, max_size=200),
    "text": _words,
    "apprise-address": st.sampled_from(["json://hook.example", "https://x.example/y", ""]),
    "web-address": st.sampled_from(["https://hook.example/x", "http://127.0.0.1:9/", ""]),
    "time-zone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
}
"""Strings that the format alone cannot describe: valid ones are made here."""

for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)


DOCUMENT = schemathesis.openapi.from_dict(
    document(__version__), config=SchemathesisConfig.from_dict(SCHEMATHESIS)
)


@pytest.fixture(scope="module")
def fuzzed(shared_installation: Installation) -> Iterator[Server]:
    """A server with a token, tasks and runs; nothing fires by itself."""
    started = Server(
        shared_installation,
        "--scheduler=false",
        CLAUDE_TASKS_AUTH_TOKEN=TOKEN,
        CLAUDE_TASKS_DISABLE_USAGE_CHECK="1",
        CLAUDE_TASKS_API_RUN_CONCURRENCY="2",
    )
    for number in range(KNOWN):
        started.run(started.add(name=f"task {number}")["id"])
    yield started
    started.close()


def test_the_server_hands_out_this_very_document(fuzzed: Server) -> None:
    assert fuzzed.get("/schema/openapi.json") == DOCUMENT.raw_schema


# A stream has no end to wait for: tests/api/test_streams.py reads them.
@DOCUMENT.exclude(tag="streams").parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case: Any, fuzzed: Server) -> None:
    valid = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
    if valid and case.method != "DELETE":  # most ids would be of nobody
        for name, value in case.path_parameters.items():
            case.path_parameters[name] = int(value) % (KNOWN + 1) + 1
    excluded = [negative_data_rejection] if breaks_a_format(case) else []
    case.call_and_validate(base_url=fuzzed.address, timeout=15, excluded_checks=excluded)


def breaks_a_format(case: Any) -> bool:
    """Of our own formats nobody knows what breaks them: any string is taken for such a one."""
    about = None if case.meta is None else case.meta.phase.data.description
    return "`format`" in (about or "")


@pytest.mark.parametrize("entry", ENDPOINTS, ids=lambda entry: f"{entry.method} {entry.path}")
def test_every_operation_but_health_asks_for_the_token(entry: Endpoint, fuzzed: Server) -> None:
    path = entry.path.replace("{task_id}", "1").replace("{run_id}", "1")
    answer = httpx.request(entry.method, f"{fuzzed.address}/api/v1{path}", trust_env=False)
    if path == "/health":
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")
