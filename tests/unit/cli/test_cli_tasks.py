from __future__ import annotations

import getpass
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.tick import plan_ticks
from claude_tasks.settings import load_settings
from claude_tasks.storage.sqlite.store import open_store
from claude_tasks.system.clock import SystemClock
from claude_tasks.system.local_zone import local_zone
from claude_tasks.wiring.operations import open_operations
from support.builders import lead

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.command_line import CommandLine


def _add(cli: CommandLine, name: str = "nightly", *flags: str) -> Any:
    words = flags or ("--cron", "0 2 * * *")
    return cli.good("add", name, "do it", *words, "--json").json


def test_add_echoes_schedule_zone_and_three_ticks(cli: CommandLine) -> None:
    outcome = cli.good("add", "nightly", "do it", "--cron", "0 2 * * *")
    lines = outcome.out.splitlines()
    assert lines[0] == 'Added task 1 "nightly".'
    assert "At 02:00 every day (Europe/Berlin)." in lines[1]
    assert sum(" 02:00 CE" in line for line in lines) == 3
    assert "claude-tasks daemon" in outcome.err  # nobody schedules


def test_add_says_all_it_was_told(cli: CommandLine, tmp_path: Path) -> None:
    view = cli.good(
        *("add", "n", "do it", "--every", "90s", "--tz", "America/New_York", "--json"),
        *("--dir", str(tmp_path), "--model", "sonnet", "--permission-mode", "plan"),
        *("--allow-tool", "Read", "--allow-tool", "Bash(git:*)", "--deny-tool", "WebFetch"),
        *("--max-turns", "7", "--max-budget", "0.5", "--append-system-prompt", "be brief"),
        *("--timeout", "1h30m", "--overlap", "queue", "--catchup", "all", "--jitter", "30s"),
        *("--catchup-window", "2d", "--retries", "2", "--max-concurrency", "3"),
        *("--tag", "a", "--tag", "b", "--disabled"),
        *("--", "--add-dir", "/x"),
    ).json
    expected = {
        "cron_expr": "@every 90s",
        "timezone": "America/New_York",
        "working_dir": str(tmp_path),
        "model": "sonnet",
        "permission_mode": "plan",
        "allowed_tools": ["Read", "Bash(git:*)"],
        "disallowed_tools": ["WebFetch"],
        "max_turns": 7,
        "max_budget_usd": 0.5,
        "append_system_prompt": "be brief",
        "timeout_seconds": 5400,
        "overlap": "queue",
        "catchup": "all",
        "jitter_seconds": 30,
        "catchup_window_seconds": 172_800,
        "max_retries": 2,
        "max_concurrency": 3,
        "tags": ["a", "b"],
        "enabled": False,
        "extra_args": ["--add-dir", "/x"],
    }
    assert {name: view[name] for name in expected} == expected


def test_add_stores_the_current_folder_absolute(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert _add(cli)["working_dir"] == os.getcwd()
    view = _add(cli, "other", "--now", "--dir", "sub")
    assert view["working_dir"] == os.path.join(os.getcwd(), "sub")


def test_add_warns_of_a_folder_that_is_not_there(cli: CommandLine) -> None:
    outcome = cli.good("add", "n", "p", "--now", "--dir", "/not/there")
    assert "/not/there is not there" in outcome.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "when should it run?"),
        (("--now", "--every", "5m"), "give one of them"),
        (("--cron", "*/70 * * * *"), "Invalid cron expression"),
        (("--at", "yesterday"), "Cannot understand the time"),
        (("--every", "5m", "--tz", "Europe/Berln"), "Did you mean Europe/Berlin"),
        (("--every", "5m", "--overlap", "jump"), "overlap: 'jump'"),
    ],
)
def test_add_refuses_nonsense_and_keeps_nothing(
    cli: CommandLine, flags: tuple[str, ...], words: str
) -> None:
    outcome = cli("add", "n", "p", *flags)
    assert outcome.code == 2
    assert words in outcome.err
    assert cli.good("list", "--json").json["total"] == 0


def test_one_off_at_a_time_people_type(cli: CommandLine) -> None:
    view = _add(cli, "report", "--at", "tomorrow 9am")
    assert view["is_one_off"]
    assert view["scheduled_at"] == view["next_run_at"]


@pytest.mark.parametrize("catchup", ["none", "latest"])
def test_a_one_off_that_a_false_clock_took_is_not_said_to_be_past(
    cli: CommandLine, catchup: str
) -> None:
    task_id = _add(cli, "report", "--at", "in 2h", "--catchup", catchup)["id"]
    store = open_store(load_settings(cli.environment).folder.database, at=0)
    ahead = SystemClock().now() + 4 * 60 * 60 * 1000
    plan = plan_ticks(store.get_task(task_id), at=ahead)
    store.record_ticks(lead(store, at=ahead), [plan], at=ahead)
    store.close()
    skipped = catchup == "none"
    word = "skipped" if skipped else "done"
    listed = cli.good("list")
    assert f" {word} " in listed.out
    assert (f"enable {task_id}" in listed.err) == skipped
    assert cli.good("show", "report").out.split("state", 1)[1].split()[0] == word
    assert f"the task is {word}" in cli.good("next", "report").out
    why = cli("why", "report").out
    assert "has passed" not in why
    assert f"that was {'skipped' if skipped else 'taken'} ahead of its time" in why


def test_at_now_names_no_time(cli: CommandLine) -> None:
    """So that clients of API v1 are shown none; see `Task.runs_at_once`."""
    for words in (("--now",), ("--at", "now"), ("--at", " NOW ")):
        task_id = _add(cli, "at once", *words)["id"]
        settings = load_settings(cli.environment)
        assert open_operations(settings).tasks.get(task_id).runs_at_once, words


def test_prompt_comes_from_a_word_a_flag_a_file_or_stdin(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "prompt.md"
    file.write_text("from a file\n")
    for number, (words, stdin, prompt) in enumerate(
        [
            (("a word",), "", "a word"),
            (("--prompt", "--dashes"), "", None),
            (("--prompt=-x starts with a dash",), "", "-x starts with a dash"),
            (("--prompt-file", str(file)), "", "from a file\n"),
            (("-",), "from stdin", "from stdin"),
            (("--prompt-file", "-"), "from stdin", "from stdin"),
            ((), "", None),
            (("two", "--prompt", "prompts"), "", None),
            (("--prompt-file", str(tmp_path / "gone")), "", None),
        ]
    ):
        outcome = cli("add", f"n{number}", *words, "--now", "--json", stdin=stdin)
        assert (outcome.code == 0) == (prompt is not None), words
        if prompt is not None:
            assert outcome.json["prompt"] == prompt


def test_a_name_is_a_reference_until_two_tasks_have_it(cli: CommandLine) -> None:
    first = _add(cli)["id"]
    assert cli.good("show", "nightly", "--json").json["id"] == first
    outcome = cli.good("add", "nightly", "other", "--now")
    assert "refer to this one as 2" in outcome.err
    ambiguous = cli("show", "nightly")
    assert ambiguous.code == 4
    assert "use an id: 1, 2" in ambiguous.err


def test_edit_changes_only_what_is_named(cli: CommandLine) -> None:
    before = _add(cli, "n", "--cron", "0 2 * * *", "--model", "opus", "--tag", "a")
    after = cli.good("edit", "n", "--timeout", "5m", "--json").json
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"timeout_seconds", "revision", "updated_at"}


def test_edit_clears_fields_back_to_their_default(cli: CommandLine) -> None:
    _add(cli, "n", "--now", "--model", "opus", "--tag", "a", "--timeout", "1m")
    flags = ("--clear", "model", "--clear", "tags", "--clear", "timeout-seconds")
    view = cli.good("edit", "n", *flags, "--json").json
    assert "model" not in view
    assert view["tags"] == []
    assert view["timeout_seconds"] == 1800
    assert cli("edit", "n", "--clear", "prompt").code == 2


def test_the_history_of_a_task_says_who_changed_what(cli: CommandLine) -> None:
    _add(cli, "n", "--now", "--slack", "https://s3cret.example/x")
    cli.good("edit", "n", "--model", "opus", "--timeout", "1h", "--clear", "slack")
    cli.environment["CLAUDE_TASKS_RUN"] = "/data/runs/12.3"
    cli.good("disable", "n")
    user = getpass.getuser()
    shown = cli.good("show", "n", "--history")
    assert "s3cret" not in shown.out
    lines = [" ".join(line.split()[1:]) for line in shown.out.splitlines()[2:]]
    assert lines[0] == "agent:run 12 enabled: on → off"
    assert f"cli:{user} added" in lines
    assert "model: - → opus" in shown.out
    assert "timeout: 30m → 1h" in shown.out
    revisions = cli.good("show", "n", "--history", "--json").json["revisions"]
    assert [each["revision"] for each in revisions] == [3, 2, 1]
    assert revisions[0]["changes"] == [{"field": "enabled", "old": True, "new": False}]


def test_edit_of_nothing_is_refused(cli: CommandLine) -> None:
    _add(cli)
    assert cli("edit", "nightly").code == 2


def test_edit_against_an_older_revision_is_a_conflict(cli: CommandLine) -> None:
    _add(cli)
    cli.good("edit", "nightly", "--name", "weekly", "--revision", "1")
    outcome = cli("edit", "1", "--name", "x", "--revision", "1", "--json")
    assert outcome.code == 4
    assert json.loads(outcome.err)["code"] == "revision_conflict"


def test_disable_enable_rm_restore(cli: CommandLine) -> None:
    _add(cli)
    assert cli.good("disable", "nightly", "--json").json["enabled"] is False
    assert cli.good("disable", "1").out.startswith('Disabled already: task 1 "nightly".')
    assert "next" in cli.good("show", "1").out
    assert cli.good("enable", "1", "--json").json["next_run_at"]
    deleted = cli.good("rm", "nightly", "--json").json
    assert deleted == {"success": True, "message": "Task deleted", "id": 1}
    assert cli("disable", "1").code == 3
    assert cli.good("list", "--json").json["total"] == 0
    assert cli.good("list", "--all", "--json").json["tasks"][0]["deleted_at"]
    assert cli.good("restore", "nightly", "--json").json["next_run_at"]
    assert cli("restore", "1").code == 4


def test_list_shows_a_line_a_task_and_filters_by_tag(cli: CommandLine) -> None:
    _add(cli, "a", "--cron", "0 2 * * *", "--tag", "x")
    _add(cli, "b", "--every", "1h", "--disabled")
    lines = cli.good("list").out.splitlines()
    titles = [title for title in lines[0].split("  ") if title]
    zone = "NEXT RUN (Europe/Berlin)"
    assert [title.strip() for title in titles] == ["ID", "NAME", "SCHEDULE", "ON", zone, "LAST RUN"]
    assert lines[1].split()[:5] == ["2", "b", "@every", "1h", "off"]
    tagged = cli.good("list", "--tag", "x", "--json").json
    assert [task["name"] for task in tagged["tasks"]] == ["a"]
    assert tagged["total"] == 1
    assert "No task has that tag" in cli.good("list", "--tag", "y").out


def test_list_without_tasks_says_how_to_begin(cli: CommandLine) -> None:
    assert "claude-tasks add" in cli.good("list").out
    assert cli.good("list", "--json").json == {"tasks": [], "total": 0}


def test_show_has_schedule_settings_and_runs(cli: CommandLine) -> None:
    _add(cli, "n", "--every", "90s", "--model", "opus")
    text = cli.good("show", "n").out
    for words in ("Every 1m 30s", "opus", "do it", "no runs yet"):
        assert words in text
    view = cli.good("show", "n", "--json").json
    assert len(view["schedule"]["next_runs"]) == 5
    assert view["runs"] == []


def test_next_of_an_expression_notes_what_the_clocks_do(cli: CommandLine) -> None:
    flags = ("--cron", "30 2 * * *", "--tz", "America/New_York", "-n", "366")
    view = cli.good("next", *flags, "--json").json
    assert view["timezone"] == "America/New_York"
    assert len(view["next_runs"]) == 366
    assert [tick for tick in view["next_runs"] if tick["note"]]
    assert "does not exist" in cli.good("next", *flags).out


def test_next_of_a_disabled_task_says_so(cli: CommandLine) -> None:
    _add(cli, "n", "--every", "90s", "--disabled")
    assert "the task is off" in cli.good("next", "n").out
    assert cli("next").code == 2
    assert cli("next", "n", "-n", "0").code == 2


def test_import_of_an_export_is_the_same(cli: CommandLine, tmp_path: Path) -> None:
    _add(cli, "a", "--cron", "0 2 * * *", "--tag", "x", "--max-budget", "1.5")
    _add(cli, "b", "--at", "tomorrow 9am")
    exported = cli.good("export").out
    other = ("--data", str(tmp_path / "other"))
    assert cli.good("import", "-", *other, "--json", stdin=exported).json["ids"] == [1, 2]
    assert json.loads(cli.good("export", *other).out) == json.loads(exported)


def test_export_to_a_file_is_private(cli: CommandLine, tmp_path: Path) -> None:
    _add(cli)
    path = tmp_path / "tasks.json"
    cli.good("export", "--output", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert cli.good("import", str(path), "--dry-run", "--json").json["valid"] == 1


def test_import_is_all_or_nothing_and_names_task_and_field(cli: CommandLine) -> None:
    good = {"name": "a", "prompt": "p", "cron_expr": "@daily"}
    for bad, words in (
        ({"name": "b", "prompt": "p", "cron_expr": "61 * * * *"}, "task 2 (b): Invalid cron"),
        ({"name": "b", "prompt": "p", "timeout": 3}, "task 2: unknown field 'timeout'"),
        ({"name": "b", "prompt": "p", "max_turns": "x"}, "task 2: max_turns must be"),
        ({"prompt": "p"}, "task 2 (no name): Name is required"),
    ):
        outcome = cli("import", "-", stdin=json.dumps({"tasks": [good, bad]}))
        assert outcome.code == 2
        assert words in outcome.err
    assert cli("import", "-", stdin="{").code == 2
    assert cli.good("list", "--json").json["total"] == 0


def test_dry_run_adds_nothing(cli: CommandLine) -> None:
    document = json.dumps({"tasks": [{"name": "a", "prompt": "p"}]})
    assert cli.good("import", "-", "--dry-run", stdin=document).out.startswith("1 task could")
    assert cli.good("list", "--json").json["total"] == 0


def test_local_zone_from_variable_file_link_or_nothing(tmp_path: Path) -> None:
    file, link = tmp_path / "timezone", tmp_path / "localtime"
    places: dict[str, Any] = {"timezone_file": str(file), "localtime_link": str(link)}
    assert local_zone({}, **places) == "UTC"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert local_zone({}, **places) == "Asia/Tokyo"
    file.write_text("America/Lima\n")
    assert local_zone({}, **places) == "America/Lima"
    file.write_text("nonsense\n")
    assert local_zone({}, **places) == "Asia/Tokyo"
    assert local_zone({"TZ": ":Europe/Paris"}, **places) == "Europe/Paris"
    assert local_zone({"TZ": "XYZ-1ABC"}, **places) == "UTC"


def test_clocks_whose_zone_has_no_name_to_be_found_are_taken_for_utc_and_said(
    tmp_path: Path,
) -> None:
    file, copied = tmp_path / "timezone", tmp_path / "localtime"
    copied.write_bytes(b"TZif")
    said: list[str] = []
    places: dict[str, Any] = {"timezone_file": str(file), "localtime_link": str(copied)}
    for abbreviation in ("UTC", "GMT", "CET"):
        zone = local_zone({}, **places, warn=said.append, abbreviation=abbreviation)
        assert zone == "UTC"
    [note] = said
    assert "CET" in note
    assert str(copied) in note


def test_an_imported_task_without_a_zone_goes_by_this_machine_s(cli: CommandLine) -> None:
    tasks = [
        {"name": "a", "prompt": "p", "cron_expr": "0 9 * * *"},
        {"name": "b", "prompt": "p", "cron_expr": "0 9 * * *", "timezone": "Asia/Tokyo"},
    ]
    cli.good("import", "-", stdin=json.dumps({"tasks": tasks}))
    kept = {task["name"]: task["timezone"] for task in cli.good("list", "--json").json["tasks"]}
    assert kept == {"a": "Europe/Berlin", "b": "Asia/Tokyo"}
    exported = cli.good("export").out
    cli("rm", "a", "--yes"), cli("rm", "b", "--yes")
    assert cli("import", "-", stdin=exported, TZ="America/Lima").code == 0
    again = {task["name"]: task["timezone"] for task in cli.good("list", "--json").json["tasks"]}
    assert again == kept, "an export says the zone"


def test_what_a_clock_that_was_ahead_left_is_said_with_the_command(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def three_years_ahead(_clock: SystemClock) -> int:
        return time.time_ns() // 1_000_000 + 3 * 365 * 86_400_000

    with monkeypatch.context() as wrong:
        wrong.setattr(SystemClock, "now", three_years_ahead)
        _add(cli)
    for words in (("list",), ("status",), ("why", "nightly")):
        outcome = cli.good(*words)
        said = outcome.out + outcome.err
        assert "the clock was 1095d ahead" in said, words
        assert "claude-tasks daemon" in said, words
    assert "FAIL clock_and_zone" in cli.good("status").out
    assert cli.good("status", "--json").json["clock"]["troubles"][0]["task_id"] == 1
    edited = cli.good("edit", "nightly", "--cron", "0 2 * * *")
    assert "Changed task 1" in edited.out
    assert "the clock was" not in cli.good("list").err
    assert "1095d ahead, and was set back" in cli.good("why", "nightly").out


def test_notify_says_whose_channels_there_are(cli: CommandLine) -> None:
    assert "so nobody is told" in cli.good("notify").err
    cli.good("add", "one", "Look.", "--every", "1h", "--slack", "https://hooks.slack.com/x")
    assert "no channel is set but by tasks themselves: 1; " in cli.good("notify").err


def test_an_expression_in_the_place_of_a_task_leads_to_the_flag(cli: CommandLine) -> None:
    assert "next --cron '0 2 30 2 *'" in cli("next", "0 2 30 2 *").err
    assert "--cron" not in cli("next", "nightly").err


def test_a_field_that_stands_twice_in_a_document_is_refused(
    cli: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "tasks.json"
    path.write_text('{"tasks": [{"name": "a", "name": "b", "prompt": "p", "cron_expr": "@daily"}]}')
    refused = cli("import", str(path))
    assert (refused.code, "'name' stands twice in one object" in refused.err) == (2, True)
