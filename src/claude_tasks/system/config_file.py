"""``config.toml`` as it stands: tables and values, before anybody says what they mean."""

from __future__ import annotations

import tomllib
from typing import Any

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.system.trust import open_trusted


def read_config(path: str) -> dict[str, Any]:
    """What the file says; {} where it was removed. Errors: `ConfigurationError`."""
    try:
        descriptor = open_trusted(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        with open(descriptor, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number without end
        raise ConfigurationError(f"{path}: {error}") from error


def _unreadable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: {error.strerror}", hint="it must be readable by this user, as its owner"
    )
