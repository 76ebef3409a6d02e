"""Every setting in one typed table: default < config file < environment < flag."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.data_folder import DataFolder
from claude_tasks.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.domain.notification import Addresses

_PREFIX = "CLAUDE_TASKS_"
DATA_VARIABLE = "CLAUDE_TASKS_DATA"
DEFAULT_DATA = "~/.claude-tasks"


class Settings(NamedTuple):
    """Each field is also ``field`` in config.toml and ``CLAUDE_TASKS_FIELD`` in the environment.

    Durations are in seconds.
    """

    data: str
    claude_bin: str | None = None
    max_concurrent_runs: int = 8
    lease_ttl: float = 15.0
    lease_renew: float = 5.0
    lease_margin: float = 2.0
    kill_grace: float = 5.0
    linger: float = 60.0
    retry_backoff: float = 30.0
    log_level: str = "info"
    host: str = "127.0.0.1"
    port: int = 8080
    auth_token: str | None = None
    read_token: str | None = None
    cors_origin: str | None = None
    allowed_hosts: str = ""
    api_run_concurrency: int = 8
    disable_usage_check: bool = False
    usage_url: str = "https://api.anthropic.com/api/oauth/usage"
    usage_timeout: float = 10.0
    on_usage_limit: str = "skip"
    notify_on: str = "failure"
    discord_webhook: str | None = None
    slack_webhook: str | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    apprise_url: str | None = None
    heartbeat_url: str | None = None
    heartbeat_interval: float = 60.0
    overdue_after: float = 300.0

    @property
    def folder(self) -> DataFolder:
        """The paths below ``data``."""
        return DataFolder(self.data)

    @property
    def addresses(self) -> Addresses:
        """Where messages about tasks go that say nothing of it."""
        from claude_tasks.domain.notification import Addresses  # noqa: PLC0415 (rarely needed)

        return Addresses(
            self.discord_webhook, self.slack_webhook, self.webhook_url, self.apprise_url
        )


def _switch(value: object) -> bool:
    """As the environment says yes and no."""
    words = {**dict.fromkeys(("1", "true", "yes", "on"), True),
             **dict.fromkeys(("0", "false", "no", "off"), False)}  # fmt: skip
    return words[str(value).strip().lower()]


class _Rule(NamedTuple):
    convert: Callable[[Any], Any]
    lowest: float | None = None
    highest: float | None = None
    words: tuple[str, ...] = ()


_RULES: dict[str, _Rule] = {
    "claude_bin": _Rule(str),
    "max_concurrent_runs": _Rule(int, lowest=1, highest=1000),
    "lease_ttl": _Rule(float, lowest=0.5),
    "lease_renew": _Rule(float, lowest=0.05),
    "lease_margin": _Rule(float, lowest=0.05),
    "kill_grace": _Rule(float, lowest=0),
    "linger": _Rule(float, lowest=0.1, highest=86400),
    "retry_backoff": _Rule(float, lowest=0),
    "log_level": _Rule(str, words=("debug", "info", "warning", "error")),
    "host": _Rule(str),
    "port": _Rule(int, lowest=0, highest=65535),
    "auth_token": _Rule(str),
    "read_token": _Rule(str),
    "cors_origin": _Rule(str),
    "allowed_hosts": _Rule(str),
    "api_run_concurrency": _Rule(int, lowest=0, highest=1000),
    "disable_usage_check": _Rule(_switch),
    "usage_url": _Rule(str),
    "usage_timeout": _Rule(float, lowest=0.1, highest=14),
    "on_usage_limit": _Rule(str, words=("skip", "defer")),
    "notify_on": _Rule(str, words=("failure", "always", "change")),
    "discord_webhook": _Rule(str),
    "slack_webhook": _Rule(str),
    "webhook_url": _Rule(str),
    "webhook_secret": _Rule(str),
    "apprise_url": _Rule(str),
    "heartbeat_url": _Rule(str),
    "heartbeat_interval": _Rule(float, lowest=1),
    "overdue_after": _Rule(float, lowest=10),
}


_SECRETS = ("auth_token", "read_token")


def load_settings(
    environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Settings:
    """The settings in force. Errors: `ConfigurationError` that names the source of a bad value."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    data = str(given.pop("data", None) or environment.get(DATA_VARIABLE) or DEFAULT_DATA)
    data = os.path.abspath(os.path.expanduser(data))
    if "\n" in data:
        raise ConfigurationError(f"{DATA_VARIABLE}: a folder's path cannot hold a line break")
    values = _from_file(DataFolder(data).config)
    for name in _RULES:
        text = environment.get(_PREFIX + name.upper())
        if text == "" and name in _SECRETS:  # a failed lookup must not open the door
            raise ConfigurationError(
                f"{_PREFIX}{name.upper()}: it is empty", hint="unset it, or give it a token"
            )
        if text:
            values[name] = _checked(name, text, _PREFIX + name.upper())
    for name, value in given.items():
        values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    return _consistent(Settings(data=data, **values), values)


def _from_file(path: str) -> dict[str, Any]:
    if not os.path.exists(path):
        return {}
    import tomllib  # noqa: PLC0415 (most installations have no config file)

    try:
        with open(path, "rb") as file:
            entries = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}", hint="it must be readable by this user, as its owner"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    unknown = sorted(set(entries) - set(_RULES))
    if unknown:
        raise ConfigurationError(
            f"{path}: unknown setting {unknown[0]}", hint=f"known: {', '.join(sorted(_RULES))}"
        )
    return {name: _checked(name, value, f"{path}: {name}") for name, value in entries.items()}


def _checked(name: str, value: object, source: str) -> Any:
    rule = _RULES[name]
    try:
        converted = rule.convert(value)
    except KeyError:
        raise ConfigurationError(f"{source}: {value!r}", hint="one of: true, false") from None
    except (TypeError, ValueError):
        raise ConfigurationError(f"{source}: {value!r} is not a number") from None
    if rule.lowest is not None and not converted >= rule.lowest:
        raise ConfigurationError(f"{source}: {value} is too small, at least {rule.lowest:g}")
    if rule.highest is not None and converted > rule.highest:
        raise ConfigurationError(f"{source}: {value} is too large, at most {rule.highest:g}")
    if rule.words and converted.lower() not in rule.words:
        raise ConfigurationError(f"{source}: {value!r}", hint=f"one of: {', '.join(rule.words)}")
    return converted.lower() if rule.words else converted


def _consistent(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """A short ttl shortens what must fit into it; a contradiction asked for is refused."""
    if "lease_renew" not in given:
        settings = settings._replace(lease_renew=min(settings.lease_renew, settings.lease_ttl / 3))
    if "lease_margin" not in given:
        settings = settings._replace(
            lease_margin=min(settings.lease_margin, settings.lease_ttl / 6)
        )
    if settings.lease_renew + settings.lease_margin >= settings.lease_ttl:
        raise ConfigurationError(
            "the lease would expire before it is renewed: "
            f"renew {settings.lease_renew:g} s + margin {settings.lease_margin:g} s "
            f"must be less than the ttl of {settings.lease_ttl:g} s",
            hint="raise CLAUDE_TASKS_LEASE_TTL",
        )
    return settings
