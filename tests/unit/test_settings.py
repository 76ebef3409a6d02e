"""Settings: default < config file < environment < flag; nonsense is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_each_source_overrides_the_one_before_it(tmp_path: Path) -> None:
    data = {"CLAUDE_TASKS_DATA": str(tmp_path)}
    assert load_settings(data).max_concurrent_runs == 8
    (tmp_path / "config.toml").write_text("max_concurrent_runs = 3\n")
    assert load_settings(data).max_concurrent_runs == 3
    environment = {**data, "CLAUDE_TASKS_MAX_CONCURRENT_RUNS": "4"}
    assert load_settings(environment).max_concurrent_runs == 4
    assert load_settings(environment, {"max_concurrent_runs": 5}).max_concurrent_runs == 5


def test_the_data_folder_is_absolute_and_a_flag_wins(tmp_path: Path) -> None:
    settings = load_settings({"CLAUDE_TASKS_DATA": "/x", "HOME": "/h"}, {"data": str(tmp_path)})
    assert settings.data == str(tmp_path)
    assert settings.folder.database == str(tmp_path / "tasks.db")
    assert load_settings({}).data.endswith("/.claude-tasks")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MAX_CONCURRENT_RUNS", "many", "is not a number"),
        ("MAX_CONCURRENT_RUNS", "0", "too small"),
        ("LEASE_TTL", "nan", "too small"),
        ("LOG_LEVEL", "loud", "loud"),
        ("LEASE_RENEW", "15", "would expire before it is renewed"),
    ],
)
def test_a_bad_value_names_its_source(tmp_path: Path, name: str, value: str, message: str) -> None:
    environment = {"CLAUDE_TASKS_DATA": str(tmp_path), f"CLAUDE_TASKS_{name}": value}
    with pytest.raises(ConfigurationError, match=message):
        load_settings(environment)


@pytest.mark.parametrize("content", ["max_concurent_runs = 3", "= broken"])
def test_a_bad_config_file_is_refused_by_path(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.toml").write_text(content)
    with pytest.raises(ConfigurationError, match=r"config\.toml"):
        load_settings({"CLAUDE_TASKS_DATA": str(tmp_path)})


def test_a_short_ttl_shortens_what_must_fit_into_it(tmp_path: Path) -> None:
    environment = {"CLAUDE_TASKS_DATA": str(tmp_path), "CLAUDE_TASKS_LEASE_TTL": "3"}
    settings = load_settings(environment)
    assert settings.lease_renew == pytest.approx(1.0)
    assert settings.lease_margin == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["CLAUDE_TASKS_AUTH_TOKEN", "CLAUDE_TASKS_READ_TOKEN"])
def test_an_empty_token_is_refused_and_not_taken_for_none(tmp_path: Path, name: str) -> None:
    """What looked the secret up has failed: the door must not be open then."""
    with pytest.raises(ConfigurationError, match=name):
        load_settings({"CLAUDE_TASKS_DATA": str(tmp_path), name: ""})
