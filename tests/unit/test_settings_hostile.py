"""Every setting, from every source: nonsense is refused by name, and no secret is shown for it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks import settings as module
from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.settings import (
    SECRET_SETTINGS,
    SETTINGS,
    Settings,
    load_settings,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NUMBERS = [name for name, rule in SETTINGS.items() if rule.lowest is not None]
_TEXTS = [name for name, rule in SETTINGS.items() if rule.convert is module._text]
_ADDRESSES = [name for name, rule in SETTINGS.items() if rule.address]
_NOT_SECRET = {"usage_url"}
"""It looks like one, and is none."""


def _refused(folder: Path, environment: Mapping[str, str], source: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_settings({"CLAUDE_TASKS_DATA": str(folder), **environment})
    assert refused.value.message.startswith(source)
    return f"{refused.value.message} {refused.value.hint}"


def _variable(name: str) -> str:
    return f"CLAUDE_TASKS_{name.upper()}"


def test_every_setting_has_its_rule_and_every_number_its_bounds() -> None:
    fields = set(Settings._fields) - {"data", "addresses"}
    assert set(SETTINGS) == fields | set(ADDRESS_FIELDS)
    for name, rule in ((name, SETTINGS[name]) for name in fields):
        if isinstance(Settings._field_defaults[name], int | float) and name in _NUMBERS:
            assert rule.highest is not None
            assert math.isfinite(rule.highest)
        elif isinstance(Settings._field_defaults[name], int | float):
            assert isinstance(Settings._field_defaults[name], bool)


@pytest.mark.parametrize("name", _NUMBERS)
def test_a_number_from_the_environment_is_one_that_makes_sense(tmp_path: Path, name: str) -> None:
    for value in ("inf", "-inf", "nan", "1e300", "-1", "many", " ", "0x10", "9" * 5000, "\udcff"):
        assert len(_refused(tmp_path, {_variable(name): value}, _variable(name))) < 300


@pytest.mark.parametrize("name", _NUMBERS)
def test_a_number_from_the_file_is_one_that_makes_sense(tmp_path: Path, name: str) -> None:
    for value in (
        "inf", "-inf", "nan", "1e300", "-1", "'many'", "''", "true", "[1]", "{a = 1}",
        "1979-05-27", "1" + "0" * 400,
    ):  # fmt: skip
        (tmp_path / "config.toml").write_text(f"{name} = {value}\n")
        assert len(_refused(tmp_path, {}, f"{tmp_path}/config.toml: {name}")) < 400


@pytest.mark.parametrize("name", ["max_concurrent_runs", "port", "api_run_concurrency"])
def test_half_a_run_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text(f"{name} = 8.5\n")
    _refused(tmp_path, {}, f"{tmp_path}/config.toml: {name}")
    (tmp_path / "config.toml").write_text(f"{name} = 8.0\n")
    assert getattr(load_settings({"CLAUDE_TASKS_DATA": str(tmp_path)}), name) == 8


def test_a_number_without_end_is_refused_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"port = {'9' * 5000}\n")
    _refused(tmp_path, {}, f"{tmp_path}/config.toml: ")
    (tmp_path / "config.toml").write_text(f"port = {'[' * 5000}\n")
    _refused(tmp_path, {}, f"{tmp_path}/config.toml: ")


@pytest.mark.parametrize("name", _TEXTS)
def test_a_text_from_the_file_is_one_line_of_text(tmp_path: Path, name: str) -> None:
    empty = [] if SETTINGS[name].may_be_empty else [""]
    for value in (5, True, ["a"], "a\nb", "a\x1b[2J", "\x7f", "\u2028", *empty):
        (tmp_path / "config.toml").write_text(f"{name} = {json.dumps(value)}\n")
        _refused(tmp_path, {}, f"{tmp_path}/config.toml: {name}")


@pytest.mark.parametrize("name", _TEXTS)
def test_a_text_from_the_environment_is_one_line_of_text(tmp_path: Path, name: str) -> None:
    for value in ("a\r\nb", "\udcff", "\x1b]52;c;ZXZpbA==\x07", "\x9b2J"):
        assert _refused(tmp_path, {_variable(name): value}, _variable(name)).isprintable()


@pytest.mark.parametrize("name", _ADDRESSES)
def test_an_address_is_one_that_something_can_be_sent_to(tmp_path: Path, name: str) -> None:
    # What stands behind :// is Apprise's business.
    empty = [] if name == "apprise_url" else ["https://"]
    for value in ("https://x.example/a b", "https://x.example/a\r\nX: y", "nonsense", *empty):
        _refused(tmp_path, {_variable(name): value}, _variable(name))
        (tmp_path / "config.toml").write_text(f"{name} = {json.dumps(value)}\n")
        _refused(tmp_path, {}, f"{tmp_path}/config.toml: {name}")
        (tmp_path / "config.toml").unlink()


@pytest.mark.parametrize("name", [name for name, rule in SETTINGS.items() if rule.needed])
def test_what_must_not_be_empty_is_refused_where_its_look_up_failed(
    tmp_path: Path, name: str
) -> None:
    _refused(tmp_path, {_variable(name): ""}, _variable(name))


@pytest.mark.parametrize(
    "name", sorted(set(SETTINGS) - {n for n, r in SETTINGS.items() if r.needed})
)
def test_an_empty_variable_is_as_good_as_none(tmp_path: Path, name: str) -> None:
    environment = {"CLAUDE_TASKS_DATA": str(tmp_path)}
    assert load_settings({**environment, _variable(name): ""}) == load_settings(environment)


@pytest.mark.parametrize("name", SECRET_SETTINGS)
def test_no_refusal_and_no_print_shows_a_secret(tmp_path: Path, name: str) -> None:
    value = "s3cret\x07s3cret"
    assert "s3cret" not in _refused(tmp_path, {_variable(name): value}, _variable(name))
    (tmp_path / "config.toml").write_text(f"{name} = ['s3cret']\n")
    assert "s3cret" not in _refused(tmp_path, {}, f"{tmp_path}/config.toml")
    held: dict[str, Any] = {name: "s3cret"}
    if name in ADDRESS_FIELDS:
        held = {"addresses": {ADDRESS_FIELDS[name]: "s3cret"}}
    assert "s3cret" not in repr(Settings("/x", **held))


def test_what_looks_like_a_secret_is_marked_as_one() -> None:
    looks = {
        name
        for name in SETTINGS
        if name.endswith(("_token", "_secret", "_webhook", "_url", "_key"))
    }
    assert looks - _NOT_SECRET == set(SECRET_SETTINGS)


def test_no_secret_is_left_in_the_environment_of_others() -> None:
    environment = {_variable(name): "x" for name in SETTINGS} | {"HOME": "/h"}
    left = without_secrets(environment)
    assert set(environment) - set(left) == {_variable(name) for name in SECRET_SETTINGS}


@pytest.mark.parametrize("data", ["/tmp/\udcff", "/tmp/a\nb", "/tmp/a\0b"])
def test_a_folder_whose_path_is_no_text_is_refused(data: str) -> None:
    for source, environment, flags in (
        ("CLAUDE_TASKS_DATA", {"CLAUDE_TASKS_DATA": data}, {}),
        ("--data", {}, {"data": data}),
    ):
        with pytest.raises(ConfigurationError, match=source) as refused:
            load_settings(environment, flags)
        assert refused.value.message.isprintable()
