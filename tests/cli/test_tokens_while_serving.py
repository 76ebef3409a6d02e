"""Token files under a running server: what is in them counts, and without them the door is shut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from support.server import Server

if TYPE_CHECKING:
    from cli.program import Program


def _status(server: Server, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with httpx.Client(trust_env=False, timeout=15) as client:
        return client.get(f"{server.address}/api/v1/tasks", headers=headers).status_code


def test_a_token_counts_from_the_next_request_on(program: Program) -> None:
    installation = program.installation
    server = Server(installation)
    assert _status(server, None) == 200
    first = program("token", "new").stdout.strip()
    assert [_status(server, token) for token in (None, first)] == [401, 200]
    second = program("token", "new", "--replace").stdout.strip()
    assert [_status(server, token) for token in (first, second)] == [401, 200]
    reader = program("token", "new", "--read-only").stdout.strip()
    assert [_status(server, token) for token in (second, reader)] == [200, 200]
    other = program("token", "new", "--read-only", "--replace").stdout.strip()
    assert [_status(server, token) for token in (second, reader, other)] == [200, 401, 200]


def test_a_token_that_is_gone_or_broken_opens_nothing(program: Program) -> None:
    installation = program.installation
    file = installation.data / "auth_token"
    token = program("token", "new").stdout.strip()
    server = Server(installation)
    assert _status(server, token) == 200
    file.unlink()
    assert [_status(server, each) for each in (None, token)] == [401, 401]
    file.write_text(f"{token}\n")
    file.chmod(0o644)
    assert [_status(server, each) for each in (None, token)] == [401, 401]
    file.chmod(0o600)
    assert [_status(server, each) for each in (None, token)] == [401, 200]
    file.write_text("short\n")
    assert [_status(server, each) for each in (None, token, "short")] == [401, 401, 401]
    installation.data.chmod(0o777)
    file.write_text(f"{token}\n")
    assert _status(server, token) == 401
    installation.data.chmod(0o700)
    file.unlink()
    again = program("token", "new").stdout.strip()
    assert _status(server, again) == 200
    server.close()
    for said in ("the token is gone", "mode 644", "a token has 16 to 1024", "chmod go-w"):
        assert "nobody is let in: " in server.log
        assert said in server.log
    assert token not in server.log


def test_a_token_of_the_environment_stays_as_it_is(program: Program) -> None:
    given = "in-the-environment-0123"
    server = Server(program.installation, CLAUDE_TASKS_AUTH_TOKEN=given)
    stored = program("token", "new").stdout.strip()
    assert [_status(server, each) for each in (given, stored, None)] == [200, 401, 401]
