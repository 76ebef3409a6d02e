"""Messages with real processes and a real inbox: told once, whatever dies, delaying nothing."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Reason, State
from cli.program import Program
from support.installation import EVERY_SECOND, Installation
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from claude_tasks.domain.run import Run
    from support.inbox import Inbox

BREAKS = "[case:api_error status=400]"


def deliveries(installation: Installation) -> list[Any]:
    return installation.query("SELECT state, attempts, event FROM deliveries ORDER BY id")


def a_failure(installation: Installation, inbox: Inbox, **more: Any) -> Run:
    """A one-off that fails now, once somebody schedules."""
    installation.add(prompt=BREAKS, scheduled_at=0, webhook_url=inbox.url("/hook"), **more)
    [run] = installation.wait_for_runs(1, State.FAILED)
    return run


def test_a_failure_is_told_once_and_every_face_shows_it(
    installation: Installation, inbox: Inbox
) -> None:
    server = Server(installation)
    run = a_failure(installation, inbox)
    wait_until(lambda: deliveries(installation) == [("sent", 1, "failed")], what="it is told")
    [(_, told)] = inbox.got
    assert (told["run"]["id"], told["run"]["state"]) == (run.id, "failed")
    assert run.reason is Reason.AGENT_ERROR
    [shown] = server.get(f"/runs/{run.id}/deliveries")["deliveries"]
    assert (shown["channel"], shown["state"], shown["run_id"]) == ("webhook", "sent", run.id)
    assert server.get("/deliveries")["deliveries"] == [shown]
    assert server.get("/scheduler")["deliveries"] == {"pending": 0, "sent": 1, "failed": 0}
    assert 'claude_tasks_deliveries{state="sent"} 1.0' in server.client.get("/metrics").text
    assert inbox.url("/hook") not in server.client.get("/deliveries").text
    server.close()


def test_a_message_that_nobody_takes_is_given_up_visibly(
    installation: Installation, inbox: Inbox
) -> None:
    inbox.status = 404
    installation.start_leader()
    run = a_failure(installation, inbox)
    wait_until(lambda: deliveries(installation) == [("failed", 1, "failed")], what="it is given up")
    program = Program(installation)
    assert "webhook: given up after 1 try: http://127.0.0.1:" in program("logs", str(run.id)).stdout
    assert "404 Not Found" in program("notify").stdout
    assert "1 given up in the last 24 h; see claude-tasks notify" in program("status").stdout
    [record] = json.loads(program("logs", str(run.id), "--json").stdout)["deliveries"]
    assert record["state"] == "failed"
    assert installation.runs()[0].error == run.error


def test_a_channel_that_takes_no_message_just_now_is_named(
    installation: Installation, inbox: Inbox
) -> None:
    inbox.status = 503
    installation.start_leader()
    a_failure(installation, inbox)
    sql = "SELECT COUNT(*) FROM deliveries WHERE state = 'pending' AND error IS NOT NULL"
    wait_until(lambda: installation.query(sql)[0][0], what="it is to be tried again")
    said = "1 message waits for webhook, which takes none just now: http://127.0.0.1:"
    finding = installation.finding("notifications")
    assert (finding.verdict, said in finding.detail) == ("WARN", True)
    assert f"Note: {said}" in Program(installation)("notify").stderr


def test_a_channel_that_hangs_delays_no_tick(installation: Installation, inbox: Inbox) -> None:
    inbox.answers.clear()
    installation.start_leader()
    a_failure(installation, inbox)
    wait_until(lambda: inbox.got, what="the message is on its way")
    task = installation.add(cron_expr=EVERY_SECOND, overlap="allow")
    before = len(inbox.got)
    installation.wait_for_runs(3, State.COMPLETED)
    assert len(inbox.got) == before  # it hung all the while
    sql = "SELECT MAX(queued_at - scheduled_for) FROM task_runs WHERE task_id = ?"
    assert installation.query(sql, task.id)[0][0] < 1000


def test_a_daemon_told_to_stop_hears_the_answer_to_what_it_sends(
    installation: Installation, inbox: Inbox
) -> None:
    """Else its successor would send the message again."""
    inbox.answers.clear()
    daemon = installation.start_leader()
    a_failure(installation, inbox)
    wait_until(lambda: inbox.got, what="the message is on its way")
    daemon.send_signal(signal.SIGTERM)
    wait_until(lambda: installation.leader_pid() is None, what="it has resigned")
    inbox.answers.set()
    assert daemon.wait(timeout=10) == 0
    assert deliveries(installation) == [("sent", 1, "failed")]
    assert len(inbox.got) == 1


def test_what_a_killed_daemon_did_not_tell_its_successor_tells(
    installation: Installation, inbox: Inbox
) -> None:
    inbox.status = 503
    daemon = installation.start_leader()
    a_failure(installation, inbox)
    wait_until(lambda: "503" in installation.log(), what="a first attempt failed")
    daemon.kill()
    daemon.wait()
    inbox.status = 204
    installation.rewrite("UPDATE deliveries SET next_attempt_at = 0")  # the back-off is over
    installation.start_leader()
    wait_until(lambda: deliveries(installation)[0][0] == "sent", what="it is told after all")
    assert len(inbox.got) == deliveries(installation)[0][1] == 2


def test_a_server_that_does_not_schedule_tells_of_its_runs_where_nobody_leads(
    installation: Installation, inbox: Inbox
) -> None:
    server = Server(installation, "--scheduler=false")
    task = server.add(
        prompt=BREAKS, working_dir=str(installation.folder), slack_webhook=inbox.url("/slack")
    )
    server.ended(server.run(task["id"]))
    wait_until(lambda: inbox.paths == ["/slack"], what="it is told")
    assert installation.epoch() == 0  # without any attempt on the lease
    server.close()


def test_it_leaves_that_to_a_leader_that_lives(installation: Installation, inbox: Inbox) -> None:
    leader = installation.start_leader()
    server = Server(installation, "--scheduler=false")
    installation.stop(leader)
    task = server.add(
        prompt=BREAKS, working_dir=str(installation.folder), slack_webhook=inbox.url("/slack")
    )
    server.ended(server.run(task["id"]))
    waits = installation.query("SELECT COUNT(*) FROM outbox")
    leader.send_signal(signal.SIGCONT)
    assert waits == [(1,)]
    wait_until(lambda: inbox.paths == ["/slack"], what="the leader tells")
    server.close()


def test_the_heart_beats_while_somebody_leads(installation: Installation, inbox: Inbox) -> None:
    beats = {
        "CLAUDE_TASKS_HEARTBEAT_URL": inbox.url("/beat"),
        "CLAUDE_TASKS_HEARTBEAT_INTERVAL": "1",
    }
    leader = installation.start_leader(**beats)
    wait_until(lambda: inbox.paths.count("/beat") >= 2, what="two beats")
    leader.terminate()
    assert leader.wait(timeout=10) == 0
    told = len(inbox.got)
    Server(installation, "--scheduler=false", **beats).close()
    assert len(inbox.got) == told


def test_the_real_apprise_delivers(installation: Installation, inbox: Inbox) -> None:
    """Through its own plugin for JSON; a refusal is not taken for final, for it tells no more."""
    installation.start_leader()
    address = inbox.url("/apprise").replace("http://", "json://")
    task = installation.add(name="nightly", prompt=BREAKS, cron_expr="@daily", apprise_url=address)
    installation.operations.runs.start(task.id)
    wait_until(lambda: deliveries(installation) == [("sent", 1, "failed")], what="it is told")
    [(path, told)] = inbox.got
    assert (path, told["title"], told["type"]) == ("/apprise", "nightly failed", "failure")
    assert "Reason: agent error" in told["message"]
    inbox.status = 500
    installation.operations.runs.start(task.id)
    wait_until(lambda: len(deliveries(installation)) == 2, what="another message")
    wait_until(lambda: "to be tried again" in installation.log(), what="it was refused")
    assert deliveries(installation)[1] == ("pending", 1, "failed")


@pytest.mark.parametrize(("status", "code", "word"), [(204, 0, "delivered"), (403, 1, "403")])
def test_a_test_message_says_what_came_of_it(
    installation: Installation, inbox: Inbox, status: int, code: int, word: str
) -> None:
    inbox.status = status
    task = installation.add(name="nightly", cron_expr="@daily", slack_webhook=inbox.url("/s/tok"))
    program = Program(installation)
    shown = program("notify", "test", "--task", "nightly")
    assert shown.returncode == code
    assert word in shown.stdout
    assert "tok" not in shown.stdout
    [(_, told)] = inbox.got
    assert "Test message" in json.dumps(told)
    assert deliveries(installation) == []
    assert task.name == "nightly"
