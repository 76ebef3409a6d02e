"""What ``doctor`` advises, typed as it stands, mends; and what it must survive."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cli.test_doctor import doctor, unprivileged
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from cli.program import Program


def finding(program: Program, check: str) -> Any:
    done = program("doctor", check, "--json")
    return json.loads(done.stdout)["findings"][0]


def typed(program: Program, command: str, *, code: int = 0) -> str:
    """A command as a person would paste it."""
    done = subprocess.run(
        ["sh", "-c", command],
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, (command, done.stderr)
    return done.stdout


def change(program: Program, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(program.installation.database)) as connection:
        connection.isolation_level = None
        for statement in statements:
            connection.execute(statement)


def mends(program: Program, check: str, *, verdict: str = "FAIL") -> None:
    """The check complains, its command is typed, the check passes."""
    found = finding(program, check)
    assert found["verdict"] == verdict, found
    typed(program, found["fix"])
    assert finding(program, check)["verdict"] == "PASS"


def test_a_broken_token_is_replaced_where_it_is(program: Program) -> None:
    for name in ("auth_token", "read_token"):
        path = program.installation.data / name
        path.write_text("short")
        path.chmod(0o600)
        mends(program, "api_exposure", verdict="WARN")


def test_an_unknown_zone_and_a_lost_folder_are_edited(program: Program) -> None:
    home = str(program.installation.folder)
    task = program.installation.add(name="a", cron_expr="0 2 * * *")
    change(program, "UPDATE tasks SET timezone = 'Mars/Base', working_dir = '/gone'")
    fix = finding(program, "tasks")["fix"]
    assert fix == f"claude-tasks edit {task.id} --tz <ZONE>"
    typed(program, fix, code=2)  # no shell takes it as it stands
    typed(program, fix.replace("<ZONE>", "Europe/Berlin"))
    fix = finding(program, "tasks")["fix"]
    assert fix == f"claude-tasks edit {task.id} --dir <FOLDER>"
    typed(program, fix.replace("<FOLDER>", home))
    assert finding(program, "tasks")["verdict"] == "PASS"


def test_a_database_without_wal_is_brought_back(program: Program) -> None:
    program.installation.operations.close()
    change(program, "PRAGMA journal_mode = DELETE")
    mends(program, "database", verdict="WARN")


def test_an_index_that_lacks_a_row_is_made_anew(program: Program) -> None:
    program.installation.operations.close()
    with contextlib.closing(sqlite3.connect(program.installation.database)) as connection:
        connection.isolation_level = None
        connection.execute("CREATE TABLE odd (x)")
        connection.execute("CREATE INDEX odd_x ON odd (x)")
        connection.execute("PRAGMA writable_schema = ON")
        [row] = connection.execute("SELECT * FROM sqlite_master WHERE name = 'odd_x'")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'odd_x'")
    change(program, "INSERT INTO odd VALUES (1)")
    with contextlib.closing(sqlite3.connect(program.installation.database)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    mends(program, "database")


def test_a_damaged_table_is_rescued_into_a_file_beside_it(program: Program) -> None:
    program.installation.add(name="kept", cron_expr="0 2 * * *")
    program.installation.operations.close()
    database = program.installation.database
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'task_runs'"
        )
        [(size,)] = connection.execute("PRAGMA page_size")
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    damaged = database.read_bytes()
    fix = finding(program, "database")["fix"]
    assert "sqlite3" in fix
    real = shutil.which("sqlite3")
    if real is None:
        pytest.skip("no sqlite3 here")
    stand_in = program.installation.folder / "path" / "sqlite3"
    rescued = database.with_name("tasks.db.recovered")
    for refused in ("*", "*' .recover'", "nothing"):
        stand_in.write_text(
            f'#!/bin/sh\ncase "$*" in {refused}) echo no such table >&2; exit 1;; esac\n'
            f'exec {real} "$@"\n'
        )
        stand_in.chmod(0o755)
        rescued.unlink(missing_ok=True)
        typed(program, fix, code=1 if refused == "*" else 0)
        assert rescued.exists() is (refused != "*"), "nothing empty that looks like a rescue"
        assert database.read_bytes() == damaged
    database.rename(f"{database}.broken")
    found = finding(program, "database")
    assert found["verdict"] == "WARN"
    assert "lies beside it" in found["detail"]
    typed(program, found["fix"])
    assert finding(program, "database")["verdict"] == "PASS"
    assert [task["name"] for task in program.json("list")["tasks"]] == ["kept"]


def test_what_may_not_be_written_is_allowed(program: Program) -> None:
    database, nodes = program.installation.database, program.installation.data / "nodes"
    program.installation.operations.close()
    for path, mode, check in ((database, 0o400, "database"), (nodes, 0o500, "data_dir")):
        path.chmod(mode)
        done = unprivileged(program, "doctor", check, "--json")
        assert done.returncode == 1, done.stdout
        found = json.loads(done.stdout)["findings"][0]
        assert f"{path} cannot be written by this user" in found["detail"]
        typed(program, found["fix"])
        assert unprivileged(program, "doctor", check).returncode == 0


def test_a_log_of_another_owner_may_not_be_written(program: Program) -> None:
    change(program, "SELECT 1")
    installation = program.installation
    installation.start_leader()
    for ending in ("-wal", "-shm"):
        installation.database.with_name(f"tasks.db{ending}").chmod(0o444)
    done = unprivileged(program, "doctor", "database")
    assert done.returncode == 1
    assert "tasks.db-wal cannot be written by this user" in done.stdout


def test_an_advised_daemon_takes_the_lease(program: Program) -> None:
    fix = finding(program, "scheduler_lease")["fix"]
    assert fix == "claude-tasks daemon"
    program.open(fix.split()[1])
    wait_until(lambda: finding(program, "scheduler_lease")["verdict"] == "PASS", what="it leads")


def test_hints_name_the_data_folder_that_was_given(program: Program) -> None:
    data = f"{program.installation.folder}/other one"
    done = program("--data", data, "doctor", "scheduler_lease")
    assert f"fix: claude-tasks --data '{data}' daemon\n" in done.stdout
    said = json.loads(program("--data", data, "doctor", "scheduler_lease", "--json").stdout)
    assert said["findings"][0]["fix"] == f"claude-tasks --data '{data}' daemon"
    assert f"claude-tasks --data '{data}' " in program("--data", data, "list").stdout


def test_a_dead_node_whose_lock_may_not_be_looked_at_is_not_to_be_killed(program: Program) -> None:
    daemon = program.installation.start_leader()
    daemon.kill()
    daemon.wait()
    nodes = program.installation.data / "nodes"
    for lock in nodes.iterdir():
        lock.chmod(0o400)
    done = unprivileged(program, "doctor", "scheduler_lease")
    assert "that node is dead" in done.stdout
    nodes.chmod(0)
    done = unprivileged(program, "doctor", "scheduler_lease")
    nodes.chmod(0o700)
    assert "cannot be told" in done.stdout
    assert "kill" not in done.stdout


def test_a_node_says_where_it_listens_and_whether_that_is_open(program: Program) -> None:
    address = serve(program)
    [(listens, is_open)] = program.installation.query("SELECT listens, open FROM nodes")
    assert (listens, is_open) == (address, 1)
    assert finding(program, "api_exposure")["verdict"] == "PASS"
    change(program, "UPDATE nodes SET listens = 'http://0.0.0.0:8080'")
    found = finding(program, "api_exposure")
    assert found["verdict"] == "FAIL"
    assert "at http://0.0.0.0:8080" in found["detail"]
    assert found["fix"] == "claude-tasks token new"
    with urllib.request.urlopen(f"{address}/api/v1/scheduler") as answer:
        [shown] = json.load(answer)["nodes"]
    assert (shown["listens"], shown["open"]) == ("http://0.0.0.0:8080", True)


def test_the_api_finds_what_the_command_line_finds(program: Program) -> None:
    program.installation.add(name="homeless", cron_expr="0 2 * * *")
    change(program, "UPDATE tasks SET working_dir = '/gone'")
    address = serve(program)
    wait_until(lambda: finding(program, "scheduler_lease")["verdict"] == "PASS", what="it leads")
    with urllib.request.urlopen(f"{address}/api/v1/doctor", timeout=60) as answer:
        served = json.load(answer)
    said = json.loads(program("doctor", "--json").stdout)
    assert [without_ages(it) for it in served["findings"]] == [
        without_ages(it) for it in said["findings"]
    ]
    assert served["problems"] == said["problems"] == 1


def without_ages(found: dict[str, Any]) -> dict[str, Any]:
    ages = {"scheduler_lease", "clock_and_zone", "disk_space", "permissions"}
    return {**found, "detail": ""} if found["id"] in ages else found


def serve(program: Program) -> str:
    """Its address, once it answers."""
    process = program.open("serve", "--port", "0", "--json")
    assert process.stdout is not None
    said: dict[str, Any] = {}
    while "address" not in said:
        said = json.loads(process.stdout.readline())
    return str(said["address"])


def test_a_clock_that_was_set_back_is_seen_by_the_lease(program: Program) -> None:
    change(program, f"UPDATE scheduler_leases SET renewed_at = {(time.time_ns() // 10**6) + 10**7}")
    found = finding(program, "clock_and_zone")
    assert found["verdict"] == "WARN"
    assert "set back" in found["detail"]


def test_the_agent_does_not_outlive_a_doctor_that_was_told_to_end(program: Program) -> None:
    started = program.installation.folder / "started"
    agent = program.installation.agent
    agent.unlink()
    agent.write_text(f"#!/bin/sh\necho $$ > {started}.new; mv {started}.new {started}\nsleep 60\n")
    agent.chmod(0o755)
    process = program.open("doctor", "claude_binary")
    wait_until(started.exists, what="the agent was asked")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=15)
    asked = int(started.read_text())
    wait_until(lambda: not psutil.pid_exists(asked), what="the agent is ended too", seconds=15)


def test_fix_goes_on_where_one_cannot_be_done(program: Program) -> None:
    data = program.installation.data
    tool = data / "bin" / "tool"
    tool.parent.mkdir(mode=0o755)
    tool.touch()
    tool.chmod(0o755)
    data.chmod(0o755)
    said = doctor(program, "permissions", "--fix", "--yes")
    assert (said["repaired"], said["not_repaired"]) == ([f"chmod 700 {data}"], [])
    assert stat.S_IMODE(tool.stat().st_mode) == 0o755
    data.chmod(0o755)
    shown = program("doctor", "permissions", "--fix", "--yes").stderr
    assert f"done: chmod 700 {data}" in shown


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_traceback(program: Program, closed: str, tmp_path: Path) -> None:
    kept = tmp_path / "said"
    other = "" if closed.startswith("2") else f"2> {kept}"
    call = f"{sys.executable} -m claude_tasks doctor data_dir {other} {closed}"
    typed(program, call)
    assert not kept.exists() or kept.read_text() == ""
    assert os.path.getsize(program.installation.database) > 0


def test_a_finding_is_printed_before_the_next_is_made(program: Program) -> None:
    program.installation.operations.close()
    with contextlib.closing(sqlite3.connect(program.installation.database)) as connection:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        process = program.open("doctor", "data_dir", "database")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("PASS  data_dir")
        assert process.poll() is None, "it waits for the lock"
        connection.execute("ROLLBACK")
        assert process.stdout.readline().startswith("WARN  database")


def test_settings_that_make_no_sense_are_said_to_stop_every_check(program: Program) -> None:
    config = program.installation.data / "config.toml"
    config.write_text("host = \n")
    done = program("doctor")
    assert done.returncode == 2
    assert f"no check could run: {config}" in done.stderr
    assert "set the file aside" in done.stderr


def test_a_file_in_the_folders_place_is_told_once(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    program.environment["CLAUDE_TASKS_DATA"] = str(file)
    said = doctor(program, "data_dir", "database", "logs_dir", "tasks", code=1)
    assert {name: it["verdict"] for name, it in said["findings"].items()} == {
        "data_dir": "FAIL", "database": "WARN", "logs_dir": "WARN", "tasks": "WARN",
    }  # fmt: skip
    assert finding(program, "api_exposure")["fix"] is None
    typed(program, said["findings"]["data_dir"]["fix"])
    assert doctor(program, "data_dir", "database")["findings"]["data_dir"]["verdict"] == "PASS"


def test_a_config_file_that_others_could_have_written_says_what_mends_it(program: Program) -> None:
    data = program.installation.data
    (data / "config.toml").write_text("port = 9\n")
    data.chmod(0o770)
    refused = program("doctor")
    assert refused.returncode == 2
    assert f"chmod go-w {data}" in refused.stderr
    program.shell("sh", "-c", refused.stderr.splitlines()[-1].strip())
    assert program("doctor", "permissions").returncode == 0


def test_a_token_in_a_folder_that_others_can_write_to_is_named_with_its_fix(
    program: Program,
) -> None:
    data = program.installation.data
    program("token", "new")
    data.chmod(0o777)
    [finding] = json.loads(program("doctor", "api_exposure", "--json").stdout)["findings"]
    assert finding["fix"] == f"chmod go-w {data}"
    program.shell("sh", "-c", finding["fix"])
    assert (
        json.loads(program("doctor", "api_exposure", "--json").stdout)["findings"][0]["fix"] is None
    )
