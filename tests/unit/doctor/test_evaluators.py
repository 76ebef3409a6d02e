"""Every evaluator on facts that pass, warn and fail: no file, no process, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.doctor.checks import (
    api_exposure,
    claude_binary,
    clock_and_zone,
    data_dir,
    disk_space,
    logs_dir,
    notifications,
    permissions,
    runs,
    scheduler_lease,
    service,
    usage_credentials,
    versions,
)
from claude_tasks.doctor.checks import database as check_of_database
from claude_tasks.doctor.checks import nodes as check_of_nodes
from claude_tasks.doctor.checks import tasks as check_of_tasks
from claude_tasks.doctor.checks.api_exposure import ExposureFacts
from claude_tasks.doctor.checks.claude_binary import AgentFacts
from claude_tasks.doctor.checks.clock_and_zone import ZoneFacts
from claude_tasks.doctor.checks.disk_space import MIB, DiskFacts
from claude_tasks.doctor.checks.nodes import LivenessFacts
from claude_tasks.doctor.checks.notifications import ChannelFacts
from claude_tasks.doctor.checks.permissions import LooseEntry, PermissionFacts
from claude_tasks.doctor.checks.service import ServiceFacts
from claude_tasks.doctor.checks.usage_credentials import CredentialFacts
from claude_tasks.doctor.facts import Barred, FolderFacts, Illegible, RunningFact, Trouble
from claude_tasks.doctor.finding import Report
from claude_tasks.domain.clock_step import Left, LeftTask
from claude_tasks.domain.node import Role
from claude_tasks.domain.notification import StalledChannel
from claude_tasks.domain.signs import ClaimSigns, Stall
from claude_tasks.domain.usage import Failure, Reading, UsageState, Window
from claude_tasks.system.path_probe import Looked
from support.builders import node
from unit.doctor.made import (
    MACHINE,
    NO_DATABASE,
    NOW,
    UNREAD,
    database,
    lease,
    node_fact,
    task_fact,
)

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import DatabaseFacts, NodeFact
    from claude_tasks.doctor.finding import Finding

DATA = FolderFacts("/data", exists=True, is_folder=True, base="/data")
LOGS = FolderFacts("/data/logs", exists=True, is_folder=True, base="/data/logs")
OURS = Barred("/data", is_folder=True, ours=True)
THEIRS = OURS._replace(ours=False)
FILE = Barred("/data/tasks.db", is_folder=False, ours=True)
NOT_FOUND = Trouble("the claude binary was not found", "install it", "spawn")


def says(finding: Finding, verdict: str, *words: str, fix: str | None = None) -> None:
    """The verdict, words of the detail, and words of the fix: "" stands for no fix at all."""
    assert finding.verdict == verdict, finding
    for word in words:
        assert word in finding.detail, finding
    if fix is not None:
        assert (finding.fix is None) if fix == "" else (fix in (finding.fix or "")), finding
    if finding.verdict == "PASS":
        assert finding.fix is None


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (AgentFacts("/bin/claude", says="2.1.330 (Claude Code)"), "PASS", "2.1.330", ""),
        (AgentFacts("/bin/claude", says="2.0"), "PASS", "2.0", ""),
        (AgentFacts("/bin/claude", says="claude v10.0.1-beta.2"), "PASS", "10.0.1", ""),
        (AgentFacts("/bin/claude", says="1.9.99 (Claude Code)"), "FAIL", "too old", "update"),
        (AgentFacts("/bin/claude", says="hello"), "WARN", "no version: 'hello'", ""),
        (AgentFacts(None, NOT_FOUND), "FAIL", "not found", "npm install -g"),
        (AgentFacts("/bin/claude", says="node 18.0.1 is too old"), "WARN", "no version", ""),
        (AgentFacts("/bin/claude", says="Claude Code 2.1.9"), "PASS", "2.1.9", ""),
        (AgentFacts(None, NOT_FOUND, from_setting=True), "FAIL", "", "npm install -g"),
        (
            AgentFacts(None, NOT_FOUND, from_setting=True, elsewhere="/a b/claude"),
            "FAIL", "", "export CLAUDE_TASKS_CLAUDE_BIN='/a b/claude'",
        ),
        (
            AgentFacts("/a b/claude", does_not_run="gave no version within 10 s"),
            "FAIL", "/a b/claude gave no version", "'/a b/claude' --version",
        ),
        (
            AgentFacts("/b/claude", does_not_run="no node", needs_node=True, node="/a b/node"),
            "FAIL", "/b/claude no node", """export PATH='/a b':"$PATH\"""",
        ),
        (
            AgentFacts("/b/claude", does_not_run="no node", needs_node=True),
            "FAIL", "", """claude.ai/install.sh | bash && export CLAUDE_TASKS_CLAUDE_BIN=""",
        ),
    ],
)  # fmt: skip
def test_claude_binary(facts: AgentFacts, verdict: str, words: str, fix: str) -> None:
    says(claude_binary.judge(facts), verdict, words, fix=fix)


@pytest.mark.parametrize(
    ("fields", "verdict", "words", "fix"),
    [
        ({"check_disabled": True}, "PASS", "the usage check is off", ""),
        ({"billed_by": "ANTHROPIC_API_KEY"}, "PASS", "billed by ANTHROPIC_API_KEY", ""),
        ({"source": "/c.json", "expires_at": NOW + 5_400_000}, "PASS", "valid for 1h 30m", ""),
        ({"source": "CLAUDE_CODE_OAUTH_TOKEN"}, "PASS", "CLAUDE_CODE_OAUTH_TOKEN", ""),
        (
            {"trouble": Trouble("no credentials", "log in", "no_credentials")},
            "FAIL", "no credentials; log in", "claude /login",
        ),
        (
            {
                "trouble": Trouble("no credentials", "log in", "no_credentials"),
                "has_agent": False,
            },
            "FAIL", "no credentials; a login needs claude: see claude_binary", "",
        ),
        (
            {"trouble": Trouble("they have expired", None, "credentials_expired")},
            "FAIL", "expired", "claude -p",
        ),
    ],
)  # fmt: skip
def test_usage_credentials(fields: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    facts = CredentialFacts(NOW, **fields)
    says(usage_credentials.judge(facts, UsageState(None, None)), verdict, words, fix=fix)


REFUSED = Failure("usage_unauthorized", "the token was refused", NOW - 90_000, NOW - 60_000)
KNOWN = Reading((Window("five_hour", 99, None),), "cli", NOW - 120_000)


@pytest.mark.parametrize(
    ("usage", "verdict", "words", "fix"),
    [
        (UsageState(KNOWN, None), "PASS", "found", ""),
        (UsageState(None, REFUSED), "FAIL", "runs fail: usage could not be checked", "/login"),
        (UsageState(None, REFUSED), "FAIL", "asked 1m 30s ago", "/login"),
        (UsageState(KNOWN, REFUSED), "WARN", "the token was refused", "/login"),
        (UsageState(None, REFUSED._replace(code="usage_http")), "FAIL", "usage_http", ""),
        (UsageState(None, REFUSED._replace(at=NOW - 3_600_000)), "PASS", "found", ""),
        (UsageState(None, REFUSED._replace(code="no_credentials")), "PASS", "found", ""),
    ],
)
def test_usage_credentials_that_were_refused_are_not_in_order(
    usage: UsageState, verdict: str, words: str, fix: str
) -> None:
    facts = CredentialFacts(NOW, source="/c.json")
    says(usage_credentials.judge(facts, usage), verdict, words, fix=fix)


@pytest.mark.parametrize(
    ("changes", "verdict", "words", "fix"),
    [
        ({}, "PASS", "/data", ""),
        ({"exists": False, "base": "/"}, "PASS", "none yet", ""),
        ({"exists": False, "base": "/", "barred": THEIRS}, "FAIL", "cannot be made", "export"),
        (
            {"exists": False, "base": "/file", "base_is_folder": False},
            "FAIL", "/file is no folder: /data cannot be made", "export",
        ),
        ({"is_folder": False}, "FAIL", "is a file", "mv -i /data /data.moved"),
        ({"is_folder": False, "leads_nowhere": True}, "FAIL", "leads nowhere", "rm /data"),
        ({"barred": OURS}, "FAIL", "cannot be written", "chmod u+rwx /data"),
        ({"barred": THEIRS}, "FAIL", "", 'sudo chown "$(id -u)" /data && chmod u+rwx /data'),
        (
            {"barred": THEIRS._replace(read_only_mount=True)},
            "FAIL", "mounted read-only", "sudo mount -o remount,rw",
        ),
    ],
)  # fmt: skip
def test_data_dir(changes: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    says(data_dir.judge(DATA._replace(**changes), ()), verdict, words, fix=fix)


def test_what_a_node_needs_in_the_data_folder_counts() -> None:
    runs = DATA._replace(path="/data/runs", base="/data/runs")
    nodes = runs._replace(path="/data/nodes", base="/data/nodes")
    says(data_dir.judge(DATA, (runs, nodes)), "PASS")
    says(data_dir.judge(DATA, (runs._replace(exists=False), nodes)), "PASS")
    barred = OURS._replace(path="/data/nodes")
    finding = data_dir.judge(DATA, (runs, nodes._replace(barred=barred)))
    says(finding, "FAIL", "/data/nodes cannot be written", fix="chmod u+rwx /data/nodes")
    finding = data_dir.judge(DATA, (runs._replace(is_folder=False), nodes))
    says(finding, "FAIL", "/data/runs is a file", fix="mv -i /data/runs")


@pytest.mark.parametrize(
    ("changes", "verdict", "words", "fix"),
    [
        ({}, "PASS", "/data/logs", ""),
        ({"exists": False, "base": "/data"}, "WARN", "missing", "doctor --fix"),
        ({"exists": False, "base": "/data", "barred": OURS}, "FAIL", "missing", "chmod"),
        ({"is_folder": False}, "FAIL", "is a file", "mv -i"),
        (
            {"barred": OURS._replace(path="/data/logs")},
            "FAIL", "cannot be written", "chmod u+rwx /data/logs",
        ),
    ],
)  # fmt: skip
def test_logs_dir(changes: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    says(logs_dir.judge(LOGS._replace(**changes), DATA), verdict, words, fix=fix)


def test_logs_of_no_data_folder_are_none_yet() -> None:
    says(logs_dir.judge(LOGS, DATA._replace(is_folder=False)), "WARN", "see data_dir", fix="")
    missing = LOGS._replace(exists=False)
    says(logs_dir.judge(missing, DATA._replace(exists=False)), "PASS", "none yet")


@pytest.mark.parametrize(
    ("changes", "verdict", "words", "fix"),
    [
        ({}, "PASS", "whole, schema 5, WAL", ""),
        ({"is_large": True}, "PASS", "too large to look at more", ""),
        ({"schema": 0, "contents": None}, "PASS", "empty", ""),
        (
            {"schema": 0, "contents": None, "left_over": ("/data/tasks.db.recovered",)},
            "WARN", "holds nothing", "mv /data/tasks.db.recovered /data/tasks.db",
        ),
        (
            {"exists": False, "contents": None, "left_over": ("/data/tasks.db.damaged",)},
            "WARN", "lies beside it: put a backup into its place", "",
        ),
        ({"schema": 2}, "WARN", "brings it to 5", "claude-tasks status"),
        ({"schema": 6}, "FAIL", "newer", "upgrade"),
        ({"barred": (FILE,)}, "FAIL", "cannot be written", "chmod u+rw /data/tasks.db"),
        ({"barred": (FILE._replace(ours=False),)}, "FAIL", "", "sudo chown"),
        (
            {"barred": (FILE._replace(read_only_mount=True),)},
            "FAIL", "mounted read-only", "remount,rw",
        ),
        ({"journal_mode": "delete"}, "WARN", "not WAL", "journal_mode = WAL"),
        ({"unseen": "its log lacks its index"}, "WARN", "newest changes", "claude-tasks status"),
        ({"damage": ("row 3 missing",)}, "FAIL", "stop every node, rescue", ".recover"),
        ({"damage": ("row 3 missing from index i",)}, "FAIL", "tables are whole", "REINDEX"),
        ({"trouble": Trouble("malformed", code="storage_corrupt")}, "FAIL", "", ".recover"),
        (
            {"trouble": Trouble("not a SQLite database", code="storage_corrupt")},
            "FAIL", "put it aside", "mv -i /data/tasks.db /data/tasks.db.damaged",
        ),
        ({"trouble": Trouble("half", code="storage_unfinished")}, "WARN", "half", "status"),
        ({"trouble": Trouble("says nothing", code="storage_unknown")}, "FAIL", "", "mv -i"),
        ({"trouble": Trouble("of others", code="storage_foreign")}, "FAIL", "", "export"),
        ({"trouble": Trouble("locked", code="storage_busy")}, "FAIL", "locked", "status"),
        ({"trouble": Trouble("closed", code="storage_cannot_open")}, "FAIL", "closed", "ls -ld"),
        (
            {"trouble": Trouble("closed", code="storage_cannot_open"), "barred": (FILE,)},
            "FAIL", "closed", "chmod u+rw /data/tasks.db",
        ),
        ({"network": Trouble("it is on nfs", code="x")}, "FAIL", "it is on nfs", "export"),
    ],
)  # fmt: skip
def test_database(changes: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    says(check_of_database.judge(database(**changes)), verdict, words, fix=fix)


def test_no_database_is_none_yet() -> None:
    says(check_of_database.judge(NO_DATABASE), "PASS", "none yet")


FOLLOWER = node_fact("node-b")
LATE = lease(renewed_at=NOW - 20_000)
SLEEPER = node_fact(silent_ms=20_000)


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (database(), "PASS", "daemon 4242 on host, epoch 3, renewed 2 s ago", ""),
        (database(lease=lease(holder=None), nodes=()), "WARN", "nobody schedules", "daemon"),
        (database(lease=lease(holder=None)), "PASS", "about to be taken", ""),
        (database(nodes=(node_fact(alive=False),)), "WARN", "stale", "claude-tasks daemon"),
        (database(nodes=(FOLLOWER,)), "PASS", "about to take over", ""),
        (database(lease=LATE), "PASS", "that node lives", ""),  # the clock was set forward
        (database(nodes=(SLEEPER,)), "FAIL", "no other stands by", "kill -9 4242"),  # and back
        (database(lease=LATE, nodes=(SLEEPER,)), "FAIL", "no other stands by", "kill -9 4242"),
        (database(lease=LATE, nodes=(SLEEPER, FOLLOWER)), "WARN", "takes over", "kill -9"),
        (database(lease=lease(renewed_at=NOW - 10)), "PASS", "renewed just now", ""),
        (database(nodes=(node_fact(alive=None),)), "PASS", "cannot be told", ""),
        (database(lease=LATE, nodes=(node_fact(alive=None),)), "WARN", "cannot be told", ""),
        (
            database(lease=None, nodes=(), illegible=(Illegible("lease", "pid is 'x'"),)),
            "FAIL",
            "pid is 'x'; a node that starts sets it right",
            "claude-tasks daemon",
        ),
        (
            database(lease=None, illegible=(Illegible("lease", "lease scheduler: it is missing"),)),
            "WARN",
            "about to set it right",
            "",
        ),
        (
            database(
                lease=None, illegible=(Illegible("lease", "no such table: x", of_all=True),)
            ),
            "FAIL",
            "no such table: x; mend it, or put a backup back",
            "",
        ),
        (
            database(illegible=(Illegible("nodes", "node x: pid is 'y'"),)),
            "WARN", "node x: pid is 'y'; a living node is about to set it right", "",
        ),
        (NO_DATABASE, "WARN", "none yet", "claude-tasks daemon"),
        (UNREAD, "WARN", "not looked at", ""),
    ],
)  # fmt: skip
def test_scheduler_lease(facts: DatabaseFacts, verdict: str, words: str, fix: str) -> None:
    says(scheduler_lease.judge(facts, MACHINE, at=NOW), verdict, words, fix=fix)


def test_a_node_that_does_not_schedule_does_not_stand_by() -> None:
    nodes = (node_fact("node-b", scheduler=False),)
    says(
        scheduler_lease.judge(database(lease=lease(holder=None), nodes=nodes), MACHINE, at=NOW),
        "WARN",
        "nobody schedules",
    )


def test_nothing_is_killed_that_could_not_be_matched() -> None:
    """The number may be another process's by now, or mean another one in another container."""
    stranger = node_fact(is_process=False, silent_ms=20_000)
    finding = scheduler_lease.judge(database(lease=LATE, nodes=(stranger,)), MACHINE, at=NOW)
    says(finding, "FAIL", "could not be matched", fix="ps -o pid,user,lstart,args -p 4242")
    far = node_fact(is_process=False, silent_ms=20_000, host="other")
    finding = scheduler_lease.judge(database(lease=LATE, nodes=(far,)), MACHINE, at=NOW)
    says(finding, "FAIL", fix="ssh other ps -o pid,user,lstart,args -p 4242")
    old = stranger._replace(node=stranger.node._replace(version="0.9.0"))
    says(versions.judge(database(nodes=(old,)), MACHINE), "WARN", fix="ps -o pid")


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (99 * MIB, "FAIL"),
        (100 * MIB, "WARN"),
        (1023 * MIB, "WARN"),
        (1024 * MIB, "PASS"),
    ],
)
def test_disk_space(free: int, verdict: str) -> None:
    finding = disk_space.judge((DiskFacts("/data", free),))
    says(finding, verdict, "free at /data")
    assert finding.fix in (None, "df -h /data")


@pytest.mark.parametrize(
    ("entries", "verdict"), [(0, "FAIL"), (99, "FAIL"), (100, "WARN"), (1000, "PASS")]
)
def test_disk_space_counts_entries_and_the_worst_disk(entries: int, verdict: str) -> None:
    data, logs = DiskFacts("/data", 9 * 1024 * MIB, None), DiskFacts("/logs", 9 * 1024 * MIB)
    says(disk_space.judge((data, logs)), "PASS", "/data")
    finding = disk_space.judge((data, logs._replace(free_entries=entries)))
    says(finding, verdict)
    assert finding.fix in (None, "df -i /logs")
    says(disk_space.judge((data, logs._replace(free_bytes=0))), "FAIL", "/logs")


@pytest.mark.parametrize(
    ("fields", "verdict", "words", "fix"),
    [
        ({}, "PASS", "9 entries", ""),
        ({"partial": True}, "PASS", "the first 9 entries", ""),
        (
            {"loose": (LooseEntry("/data/a", 0o644, 0o600),)},
            "WARN", "/data/a is 0644, not 0600", "doctor --fix",
        ),
        (
            {"loose": (LooseEntry("/data/a", 0o644, 0o600), LooseEntry("/data", 0o777, 0o700))},
            "FAIL", "open to others: /data is 0777", "doctor --fix",
        ),
        (
            {"loose": (LooseEntry("/data/auth_token", 0o640, 0o600, holds_secrets=True),)},
            "FAIL", "auth_token", "doctor --fix",
        ),
        (
            {"loose": (LooseEntry("/l", 0o777, 0o700, outside=True),)},
            "FAIL", "/l is 0777", "chmod 700 /l",
        ),
        (
            {"loose": (LooseEntry("/tmp", 0o1777, 0o700, outside=True),)},
            "FAIL", "a folder of your own instead", "",
        ),
        ({"foreign": ("/data/x",)}, "WARN", "another user: /data/x", "sudo chown"),
        ({"unreadable": ("/data/x",)}, "WARN", "looked into: /data/x", "chmod u+rwx /data/x"),
    ],
)  # fmt: skip
def test_permissions(fields: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    says(permissions.judge(PermissionFacts(9, **fields)), verdict, words, fix=fix)


def test_permissions_of_nothing_are_none_yet() -> None:
    says(permissions.judge(PermissionFacts(0)), "PASS", "none yet")


@pytest.mark.parametrize(
    ("fields", "verdict", "words", "fix"),
    [
        ({}, "PASS", "zone data is there", ""),
        ({"variable": "Europe/Berlin"}, "PASS", "TZ=Europe/Berlin", ""),
        ({"variable": "Mars", "variable_known": False}, "WARN", "TZ=Mars", "unset TZ"),
        ({"data": Trouble("Unknown time zone")}, "FAIL", "no time zone data", "tzdata"),
        ({"at": 0}, "FAIL", "never set", "set-ntp"),
        ({"recorded_at": NOW + 59_000}, "PASS", "", ""),
        ({"recorded_at": NOW + 7_200_000}, "WARN", "set back", "set-ntp"),
    ],
)
def test_clock_and_zone(fields: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    zone = ZoneFacts(**{"at": NOW, **fields})
    says(clock_and_zone.judge(zone, database()), verdict, words, fix=fix)


@pytest.mark.parametrize(
    ("left", "nodes", "words", "fix"),
    [
        (Left.STUCK, (), "waits for a leader", "claude-tasks daemon"),
        (Left.STUCK, (node_fact(),), "the leader sets it right", "edit 7 --enabled"),
        (Left.DOUBTFUL, (), "2h ahead; say whether", "edit 7 --at <TIME>"),
        (Left.MISSED, (), "skipped as missed", "enable 7"),
    ],
)
def test_what_a_clock_that_was_ahead_left_is_no_readiness(
    left: Left, nodes: Any, words: str, fix: str
) -> None:
    found = database(nodes=nodes, left_by_clock=(LeftTask(7, "nightly", left, NOW + 7_200_000),))
    says(clock_and_zone.judge(ZoneFacts(at=NOW), found), "FAIL", words, fix=fix)


MODELS = (
    "claude-sonnet-4-5", "sonnet", "opus[1m]", "haiku", "opusplan", "default", "inherit",
    "us.anthropic.claude-sonnet-4-v1:0", "openrouter/model",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "verdict", "words", "fix"),
    [
        ({}, "PASS", "1 enabled", ""),
        (
            {"looked": Looked.MISSING, "folder": "/gone"},
            "FAIL", "/gone does not exist", "edit 7 --dir",
        ),
        ({"looked": Looked.OTHER}, "FAIL", "/work is no folder", "edit 7 --dir"),
        ({"looked": Looked.NO_ANSWER}, "FAIL", "/work does not answer", "edit 7 --dir"),
        ({"cron_expr": "61 * * * *"}, "FAIL", "'61 * * * *'", "edit 7 --cron"),
        ({"looked": Looked.BARRED}, "FAIL", "cannot be entered", "chmod u+x /work"),
        ({"timezone": "Mars/Base"}, "FAIL", "Mars/Base", "edit 7 --tz <ZONE>"),
        (
            {"timezone": "Mars/Base", "cron_expr": "", "scheduled_at": NOW},
            "FAIL", "Mars/Base", "edit 7 --tz <ZONE>",
        ),
        ({"cron_expr": "TZ=Mars/Base 0 9 * * *"}, "FAIL", "Mars/Base", "edit 7 --cron"),
        ({"cron_expr": "", "scheduled_at": None}, "FAIL", "", "edit 7 --at <TIME>"),
        ({"permission_mode": "bypassPermissions"}, "PASS", "", ""),
        ({"permission_mode": "yolo"}, "WARN", "'yolo'", "edit 7 --permission-mode"),
        ({"model": "sonnet 4"}, "WARN", "'sonnet 4' is no model", "edit 7 --model sonnet"),
        ({"model": "gpt-5-turbo-claude"}, "WARN", "is no model that is known", "--model sonnet"),
        ({"model": "-x"}, "WARN", "'-x'", "--model sonnet"),
        *(({"model": model}, "PASS", "", "") for model in MODELS),
    ],
)  # fmt: skip
def test_tasks(fields: dict[str, Any], verdict: str, words: str, fix: str) -> None:
    says(
        check_of_tasks.judge(database(tasks=(task_fact(**fields),)), MACHINE),
        verdict,
        words,
        fix=fix,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"permission_mode": "bypassPermissions"},
        {"extra_args": ("--dangerously-skip-permissions",)},
        {"extra_args": ("--permission-mode=bypassPermissions",)},
    ],
)
def test_bypass_fails_where_the_agent_refuses_it(fields: dict[str, Any]) -> None:
    root = MACHINE._replace(refuses_bypass=True)
    finding = check_of_tasks.judge(database(tasks=(task_fact(**fields),)), root)
    says(finding, "FAIL", '7 "review"', "as root", fix="--permission-mode acceptEdits")


def test_many_broken_tasks_are_counted_and_the_first_are_named() -> None:
    facts = tuple(task_fact(id=i, looked=Looked.MISSING) for i in range(1, 9))
    finding = check_of_tasks.judge(database(tasks=facts), MACHINE)
    says(finding, "FAIL", "8 of 8 enabled cannot run", "and 5 more", fix="edit 1 --dir")


def test_tasks_without_a_database() -> None:
    says(check_of_tasks.judge(NO_DATABASE, MACHINE), "PASS", "none yet")
    says(check_of_tasks.judge(UNREAD, MACHINE), "WARN", "not looked at: the database is damaged")


@pytest.mark.parametrize(
    ("nodes", "verdict", "fix"), [((), "FAIL", "claude-tasks daemon"), ((FOLLOWER,), "WARN", "")]
)
def test_rows_that_a_node_sets_right_are_said_to_be(
    nodes: tuple[NodeFact, ...], verdict: str, fix: str
) -> None:
    of_runs, of_nodes = (
        database(nodes=nodes, illegible=(Illegible(part, "odd"),)) for part in ("runs", "nodes")
    )
    for finding in (
        runs.judge(of_runs, MACHINE),
        versions.judge(of_nodes, MACHINE),
        check_of_nodes.judge(of_nodes, LivenessFacts(), MACHINE),
    ):
        says(finding, verdict, "odd", "set", "right", fix=fix)


def test_a_row_that_cannot_be_read_fails_beside_the_others() -> None:
    bad = (Illegible("tasks", "task 3: extra_args is odd", "claude-tasks rm 3"),)
    finding = check_of_tasks.judge(
        database(tasks=(task_fact(looked=Looked.MISSING),), illegible=bad), MACHINE
    )
    says(finding, "FAIL", "2 of 2 enabled", "task 3: extra_args is odd", fix="rm 3")
    of_all = database(illegible=(Illegible("runs", "no such table", of_all=True),))
    says(
        runs.judge(of_all, MACHINE), "FAIL", "no such table; mend it, or put a backup back", fix=""
    )
    facts = database(illegible=(Illegible("messages", "odd"),))
    says(notifications.judge(facts, UNTOLD), "FAIL", "odd")


RUNNING = RunningFact(5, "nightly", watched=True)
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (database(), "PASS", "0 running", ""),
        (database(running=(RUNNING,)), "PASS", "1 running, all watched", ""),
        (
            database(running=(RUNNING._replace(watched=False),), nodes=()),
            "WARN", 'run 5 "nightly"', "claude-tasks daemon",
        ),
        (
            database(running=(RUNNING._replace(queued_for_ms=0, watched=False),), nodes=()),
            "WARN", "queued for a node that is dead", "claude-tasks daemon",
        ),
        (
            database(running=(RUNNING._replace(queued_for_ms=0, watched=False),)),
            "PASS", "0 running", "",
        ),
        (
            database(running=(RUNNING._replace(queued_for_ms=HOUR_MS + 1),)),
            "WARN", "more than an hour", "claude-tasks runs --state queued",
        ),
        (database(running=(RUNNING._replace(queued_for_ms=HOUR_MS),)), "PASS", "", ""),
        (
            database(running=tuple(RUNNING._replace(watched=False) for _ in range(1000))),
            "WARN", "and at least 997 more", "claude-tasks runs",
        ),
        (
            database(running=(RUNNING._replace(watched=False),)),
            "WARN", "dead", "claude-tasks runs --state running",
        ),
        (database(lost=((4, "nightly"),)), "WARN", 'run 4 "nightly"', "claude-tasks runs"),
        (database(failing=((7, "nightly"),)), "WARN", "all failed", "claude-tasks runs 7"),
        (NO_DATABASE, "PASS", "none yet", ""),
        (UNREAD, "WARN", "not looked at", ""),
    ],
)  # fmt: skip
def test_runs(facts: DatabaseFacts, verdict: str, words: str, fix: str) -> None:
    says(runs.judge(facts, MACHINE), verdict, words, fix=fix)


UNIT = ServiceFacts("systemd", "/u/claude-tasks.service", enabled=True)


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (UNIT, "PASS", "claude-tasks.service is enabled", ""),
        (ServiceFacts(None), "WARN", "none is installed", ""),
        (
            UNIT._replace(enabled=False),
            "WARN", "not enabled", "systemctl --user enable --now claude-tasks.service",
        ),
        (
            UNIT._replace(enabled=False, by_system=True),
            "WARN", "", "sudo systemctl enable --now claude-tasks.service",
        ),
        (
            UNIT._replace(kind="launchd", path="/l/claude-tasks.plist", enabled=False),
            "WARN", "not enabled", "launchctl bootstrap",
        ),
        (UNIT._replace(agent=NOT_FOUND), "WARN", "would not find the agent", ""),
        (
            UNIT._replace(agent=NOT_FOUND, agent_here="/a/claude"),
            "WARN", "would not find the agent", 'Environment="CLAUDE_TASKS_CLAUDE_BIN=/a/claude"',
        ),
        (
            UNIT._replace(agent=NOT_FOUND, agent_here="/a/claude"),
            "WARN", "", "systemctl --user restart claude-tasks.service",
        ),
        (
            UNIT._replace(agent=NOT_FOUND, agent_here="/a/claude", by_system=True),
            "WARN", "", "| sudo tee /u/claude-tasks.service.d/agent.conf",
        ),
        (
            UNIT._replace(
                kind="launchd", path="/l/claude-tasks.plist", agent=NOT_FOUND, agent_here="/a"
            ),
            "WARN", "", "plutil -replace",
        ),
        (UNIT._replace(masked=True), "WARN", "masked", "systemctl --user unmask"),
        (UNIT._replace(lingers=False), "WARN", "logged in", "loginctl enable-linger"),
        (UNIT._replace(lingers=True), "PASS", "enabled", ""),
        (UNIT._replace(unread="/e/env"), "PASS", "without a look at /e/env", ""),
    ],
)  # fmt: skip
def test_service_warns_at_most(facts: ServiceFacts, verdict: str, words: str, fix: str) -> None:
    says(service.judge(facts), verdict, words, fix=fix)


UNTOLD = ChannelFacts()
TOLD = ChannelFacts(("slack",), tasks=2)


@pytest.mark.parametrize(
    ("facts", "channels", "verdict", "words", "fix"),
    [
        (database(), UNTOLD, "PASS", "nobody is told", ""),
        (database(), TOLD, "PASS", "slack, 2 tasks with channels of their own", ""),
        (NO_DATABASE, TOLD._replace(tasks=1), "PASS", "slack, 1 task with", ""),
        (
            database(given_up=("slack: 404 Not Found", "slack: 500")), TOLD,
            "WARN", "2 given up in the last day, the newest to slack: 404", "claude-tasks notify",
        ),
        (
            database(stalled=(StalledChannel("slack", 192, "Connection refused"),)), TOLD,
            "WARN", "192 messages wait for slack, which takes none just now: Connection refused",
            "claude-tasks notify test",
        ),
        (
            database(stalled=(StalledChannel("slack", 1, "503"),)), TOLD._replace(general=()),
            "WARN", "1 message waits for slack", "",
        ),
        (
            UNREAD, TOLD, "WARN", "not looked at", "",
        ),
        (database(), TOLD._replace(apprise=False), "WARN", "not installed", "[apprise]"),
        (database(), TOLD._replace(apprise=True), "PASS", "slack", ""),
    ],
)  # fmt: skip
def test_notifications_warn_at_most(
    facts: DatabaseFacts, channels: ChannelFacts, verdict: str, words: str, fix: str
) -> None:
    says(notifications.judge(facts, channels), verdict, words, fix=fix)


OLD = node_fact("node-b", version="0.9.0", pid=99)


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (database(), "PASS", "1.0.0; 1 living node", ""),
        (database(nodes=(OLD._replace(alive=False),)), "PASS", "0 living", ""),
        (database(nodes=(node_fact(), OLD)), "WARN", "daemon 99 on host is 0.9.0", "kill 99"),
        (NO_DATABASE, "PASS", "none yet", ""),
        (UNREAD, "WARN", "not looked at", ""),
    ],
)
def test_versions(facts: DatabaseFacts, verdict: str, words: str, fix: str) -> None:
    says(versions.judge(facts, MACHINE), verdict, words, fix=fix)


LOCAL = ExposureFacts("127.0.0.1", loopback=True, has_token=False)
OPEN = ExposureFacts("0.0.0.0", loopback=False, has_token=False)
LISTENING = (node(role=Role.SERVE, listens="http://0.0.0.0:8080", open=True),)
BAD = Trouble("auth_token: it is empty", "make another")


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (LOCAL, "PASS", "this machine only", ""),
        (OPEN, "WARN", "0.0.0.0 without a token", "claude-tasks token new"),
        (OPEN._replace(host=""), "WARN", "every address", "claude-tasks token new"),
        (OPEN._replace(has_token=True), "PASS", "with a token", ""),
        (LOCAL._replace(open_to=LISTENING), "FAIL", "serve 4242 on host at http", "token new"),
        (LOCAL._replace(open_to=LISTENING, has_token=True), "FAIL", "by now: stop it", ""),
        (LOCAL._replace(trouble=BAD, fix="mend it"), "WARN", "it is empty", "mend it"),
        (OPEN._replace(trouble=BAD), "FAIL", "it is empty", ""),
        (
            LOCAL._replace(trouble=BAD, fix="mend it", asking=LISTENING, stored=True),
            "WARN", "serve 4242 on host at http://0.0.0.0:8080 refuses every request, unless",
            "mend it",
        ),
        (
            LOCAL._replace(trouble=BAD, fix="mend it", asking=LISTENING),
            "WARN", "serve would not start: auth_token: it is empty", "mend it",
        ),
        (LOCAL._replace(asking=LISTENING), "PASS", "no full one is stored here", ""),
        (LOCAL._replace(asking=LISTENING, has_full=True), "PASS", "this machine only", ""),
    ],
)  # fmt: skip
def test_api_exposure(facts: ExposureFacts, verdict: str, words: str, fix: str) -> None:
    says(api_exposure.judge(facts), verdict, words, fix=fix)


STOPPED = Stall("is stopped, by SIGSTOP or Ctrl-Z", "kill -CONT 4242")
HUNG = node_fact(silent_ms=61_000, stall=STOPPED)
HELD = RUNNING._replace(node_id="node-a")
BLOCKED = LivenessFacts(writer=(4242, STOPPED))


@pytest.mark.parametrize(
    ("facts", "liveness", "verdict", "words", "fix"),
    [
        (database(), LivenessFacts(), "PASS", "1 living, all at work", ""),
        (database(nodes=()), LivenessFacts(), "PASS", "none lives", ""),
        (NO_DATABASE, LivenessFacts(), "PASS", "none yet", ""),
        (UNREAD, LivenessFacts(), "WARN", "not looked at", ""),
        (
            database(nodes=(HUNG,)), LivenessFacts(),
            "WARN", "4242 on host lives, but has done nothing for 1m 1s: it is stopped",
            "kill -CONT 4242",
        ),
        (
            database(nodes=(FOLLOWER, HUNG), running=(HELD,)), LivenessFacts(),
            "FAIL", "it holds run 5", "kill -CONT 4242",
        ),
        (
            database(nodes=(HUNG._replace(stall=None),), running=(HELD,)), LivenessFacts(),
            "FAIL", "its runs go on", "kill -9 4242",
        ),
        (
            database(nodes=(HUNG._replace(stall=None, is_process=False),)), LivenessFacts(),
            "WARN", "could not be matched", "ps -o pid,user,lstart,args -p 4242",
        ),
        (
            database(nodes=(node_fact(host="0a1b2c3d4e5f", is_process=False, silent_ms=61_000),)),
            LivenessFacts(), "WARN", "(paused?)", "docker unpause 0a1b2c3d4e5f",
        ),
        (database(), BLOCKED, "WARN", "nobody else can write", "kill -CONT 4242"),
        (database(nodes=(HUNG,)), BLOCKED, "FAIL", "kill -9 4242", "kill -CONT 4242"),
        (database(nodes=()), BLOCKED, "FAIL", "nobody else can write", "kill -CONT 4242"),
        (
            database(), LivenessFacts(strangers=(51, 52)),
            "FAIL", "processes 51; 52 are nodes of a database that was removed", "kill -9 51 52",
        ),
    ],
)  # fmt: skip
def test_nodes(
    facts: DatabaseFacts, liveness: LivenessFacts, verdict: str, words: str, fix: str
) -> None:
    says(check_of_nodes.judge(facts, liveness, MACHINE), verdict, words, fix=fix)


def test_a_hung_node_does_not_stand_by() -> None:
    nodes = (SLEEPER, node_fact("node-b", silent_ms=61_000))
    says(
        scheduler_lease.judge(database(lease=LATE, nodes=nodes), MACHINE, at=NOW),
        "FAIL",
        "no other stands by",
    )


def test_a_stopped_leader_is_said_to_be_stopped() -> None:
    says(
        scheduler_lease.judge(database(lease=LATE, nodes=(HUNG,)), MACHINE, at=NOW),
        "FAIL",
        "it is stopped",
        "kill -9 4242 ends it instead",
        fix="kill -CONT 4242",
    )


def test_ticks_that_are_overdue_with_nobody_to_take_them_fail() -> None:
    def finding(next_run_at: int | None, **fields: Any) -> Finding:
        tasks = (task_fact(next_run_at=next_run_at),)
        return scheduler_lease.judge(database(tasks=tasks, **fields), MACHINE, at=NOW)

    free: dict[str, Any] = {"lease": lease(holder=None), "nodes": ()}
    dead: dict[str, Any] = {"nodes": (node_fact(alive=False),)}
    for unled in (free, dead):
        overdue = finding(NOW - 61_000, **unled)
        says(overdue, "FAIL", "the first tick was due 1m 1s ago", fix="claude-tasks daemon")
        early = finding(NOW + 60_000, **unled)
        says(early, "WARN", "a task waits for it", fix="claude-tasks daemon")
        assert Report(NOW, "1.0.0", (early,)).summary() == "Ready, but nobody schedules"
        assert finding(None, **unled).reservation is None
    says(finding(NOW - 60_000), "FAIL", "7 was due 1m ago", fix="claude-tasks why 7")
    says(finding(NOW - 1_000), "PASS")


ENDED = HELD._replace(signs=ClaimSigns(ended_ms=61_000))
SILENT = HELD._replace(signs=ClaimSigns(silent_ms=61_000, pid=77))
FROZEN = ClaimSigns(61_000, 61_000, 77, Stall("is frozen with its container", "docker unpause 0a"))


@pytest.mark.parametrize(
    ("facts", "verdict", "words", "fix"),
    [
        (database(running=(ENDED,)), "FAIL", "ended, but not recorded: run 5", "status"),
        (
            database(running=(ENDED,), nodes=(HUNG,)),
            "FAIL", "ended, but not recorded: run 5", "kill -CONT 4242",
        ),
        (
            database(running=(ENDED._replace(watched=False),), nodes=()),
            "FAIL", "ended, but not recorded: run 5", "claude-tasks daemon",
        ),
        (
            database(running=(HELD._replace(signs=ClaimSigns(ended_ms=1_000)),)),
            "PASS", "1 running", "",
        ),
        (
            database(running=(SILENT,)),
            "FAIL", "should have ended 1m 1s ago, process 77 is left of it: run 5", "kill -9 77",
        ),
        (
            database(running=(HELD._replace(signs=FROZEN._replace(ended_ms=None)),)),
            "FAIL", "process 77 is frozen with its container: run 5", "docker unpause 0a",
        ),
    ],
)  # fmt: skip
def test_runs_that_stand_still(facts: DatabaseFacts, verdict: str, words: str, fix: str) -> None:
    says(runs.judge(facts, MACHINE), verdict, words, fix=fix)


def test_a_database_that_is_gone_is_no_fresh_installation() -> None:
    gone = NO_DATABASE._replace(
        exists=True, trouble=Trouble("it is gone", "put it back", "storage_gone"), unread="gone"
    )
    says(
        check_of_database.judge(gone),
        "FAIL",
        "it is gone; put it back",
        fix="mv -i /data /data.old",
    )
