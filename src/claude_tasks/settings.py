"""Every setting in one typed table: default < config file < environment < flag.

No ``annotations`` import from the future: its records would compile them from text at every start.
"""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.control_characters import escape_controls
from claude_tasks.domain.errors import ConfigurationError, InvalidInputError
from claude_tasks.system.data_folder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.domain.notification import Addresses

_PREFIX = "CLAUDE_TASKS_"
DATA_VARIABLE = "CLAUDE_TASKS_DATA"
DEFAULT_DATA = "~/.claude-tasks"
_SHOWN_LENGTH = 80
"""Of a value in a message."""


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

    def __repr__(self) -> str:
        """Without what is secret: this may end up in a log."""
        told = (f"{name}={value!r}" for name, value in self._asdict().items()
                if name not in SECRET_SETTINGS)  # fmt: skip
        return f"Settings({', '.join(told)})"

    @property
    def folder(self) -> DataFolder:
        """The paths below ``data``."""
        return DataFolder(self.data)

    @property
    def addresses(self) -> "Addresses":
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


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _text(value: object) -> str:
    """One line that any message can show; half a character is of bytes that are no UTF-8."""
    if not isinstance(value, str):
        raise TypeError
    if not value.isprintable():
        raise ValueError
    return value


_NO_WORD: "dict[Callable[[Any], Any], str]" = {
    _whole: "is not a number, or not a whole one",
    _number: "is not a number",
    _text: "is not one line of text without control characters",
}
_HOUR = 60 * 60
_DAY = 24 * _HOUR


class _Rule(NamedTuple):
    """What a setting may be, and whether it is a ``secret``.

    A secret is shown nowhere, and stands in no environment but this process's own. One that is
    ``needed`` where it is named may not be empty: what looked it up has failed, and without it a
    door would be open. An ``address`` is where something is sent.
    """

    convert: "Callable[[Any], Any]"
    lowest: float | None = None
    highest: float | None = None
    words: tuple[str, ...] = ()
    secret: bool = False
    needed: bool = False
    address: bool = False
    may_be_empty: bool = False


_RULES: dict[str, _Rule] = {
    "claude_bin": _Rule(_text),
    "max_concurrent_runs": _Rule(_whole, lowest=1, highest=1000),
    "lease_ttl": _Rule(_number, lowest=0.5, highest=_HOUR),
    "lease_renew": _Rule(_number, lowest=0.05, highest=_HOUR),
    "lease_margin": _Rule(_number, lowest=0.05, highest=_HOUR),
    "kill_grace": _Rule(_number, lowest=0, highest=_HOUR),
    "linger": _Rule(_number, lowest=0.1, highest=_DAY),
    "retry_backoff": _Rule(_number, lowest=0, highest=_DAY),
    "log_level": _Rule(_text, words=("debug", "info", "warning", "error")),
    "host": _Rule(_text, may_be_empty=True),  # every address
    "port": _Rule(_whole, lowest=0, highest=65535),
    "auth_token": _Rule(_text, secret=True, needed=True),
    "read_token": _Rule(_text, secret=True, needed=True),
    "cors_origin": _Rule(_text),
    "allowed_hosts": _Rule(_text, may_be_empty=True),
    "api_run_concurrency": _Rule(_whole, lowest=0, highest=1000),
    "disable_usage_check": _Rule(_switch),
    "usage_url": _Rule(_text, address=True),
    "usage_timeout": _Rule(_number, lowest=0.1, highest=14),
    "on_usage_limit": _Rule(_text, words=("skip", "defer")),
    "notify_on": _Rule(_text, words=("failure", "always", "change")),
    "discord_webhook": _Rule(_text, secret=True, address=True),
    "slack_webhook": _Rule(_text, secret=True, address=True),
    "webhook_url": _Rule(_text, secret=True, address=True),
    "webhook_secret": _Rule(_text, secret=True, needed=True),
    "apprise_url": _Rule(_text, secret=True, address=True),
    "heartbeat_url": _Rule(_text, secret=True, address=True),
    "heartbeat_interval": _Rule(_number, lowest=1, highest=_DAY),
    "overdue_after": _Rule(_number, lowest=10, highest=30 * _DAY),
}

SECRET_SETTINGS = tuple(name for name, rule in _RULES.items() if rule.secret)
_SECRET_VARIABLES = frozenset(f"{_PREFIX}{name.upper()}" for name in SECRET_SETTINGS)


def without_secrets(environment: "Mapping[str, str]") -> dict[str, str]:
    """What a process that we start may see of our environment."""
    return {name: value for name, value in environment.items() if name not in _SECRET_VARIABLES}


def load_settings(
    environment: "Mapping[str, str]", flags: "Mapping[str, object] | None" = None
) -> Settings:
    """The settings in force. Errors: `ConfigurationError` that names the source of a bad value."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    data = str(given.pop("data", None) or environment.get(DATA_VARIABLE) or DEFAULT_DATA)
    data = _checked_folder(data, "--data" if flags and flags.get("data") else DATA_VARIABLE)
    values = _from_file(DataFolder(data).config)
    for name, rule in _RULES.items():
        text = environment.get(_PREFIX + name.upper())
        if text == "" and rule.needed:
            raise ConfigurationError(
                f"{_PREFIX}{name.upper()}: it is empty", hint="unset it, or give it a value"
            )
        if text:
            values[name] = _checked(name, text, _PREFIX + name.upper())
    for name, value in given.items():
        values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    return _consistent(Settings(data=data, **values), values)


def _checked_folder(data: str, source: str) -> str:
    """The data folder's path. It stands in messages, logs, URLs and JSON: it is text.

    One folder by all its names: markers, locks and strays are told apart by the path.
    """
    path = absolute(os.path.expanduser(data), source)
    _check_path(path, source)
    path = os.path.realpath(path)
    _check_path(path, source)
    return path


def _check_path(path: str, source: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise ConfigurationError(
            f"{source}: the folder's path is not UTF-8: {shown}",
            hint="name a folder whose path is",
        ) from None
    if (shown := escape_controls(path)) != path:
        raise ConfigurationError(f"{source}: control characters cannot be part of it: {shown}")


def absolute(path: str, source: str) -> str:
    """The path from the current folder on. Errors: `ConfigurationError` where that is gone."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{source}: {path} is relative, and the current folder no longer exists",
            hint="cd to a folder that exists, or give an absolute path",
        ) from None


def _from_file(path: str) -> dict[str, Any]:
    if not os.path.lexists(path):  # or its folder cannot be entered, which others say better
        return {}
    import tomllib  # noqa: PLC0415 (most installations have no config file)

    from claude_tasks.system.trust import open_trusted  # noqa: PLC0415 (the same)

    try:
        descriptor = open_trusted(path)
    except FileNotFoundError:
        return {}  # removed this moment
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        with open(descriptor, "rb") as file:
            entries = tomllib.load(file)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number without end
        raise ConfigurationError(f"{path}: {error}") from error
    unknown = sorted(set(entries) - set(_RULES))
    if unknown:
        raise ConfigurationError(
            f"{path}: unknown setting {unknown[0]}", hint=f"known: {', '.join(sorted(_RULES))}"
        )
    return {name: _checked(name, value, f"{path}: {name}") for name, value in entries.items()}


def _unreadable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: {error.strerror}", hint="it must be readable by this user, as its owner"
    )


def _checked(name: str, value: object, source: str) -> Any:
    rule = _RULES[name]
    shown = "it" if rule.secret else _shown(value)
    try:
        converted = rule.convert(value)
    except KeyError:
        raise ConfigurationError(f"{source}: {shown}", hint="one of: true, false") from None
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f"{source}: {shown} {_NO_WORD[rule.convert]}") from None
    if rule.lowest is not None and not converted >= rule.lowest:
        raise ConfigurationError(f"{source}: {shown} is too small, at least {rule.lowest:g}")
    if rule.highest is not None and converted > rule.highest:
        raise ConfigurationError(f"{source}: {shown} is too large, at most {rule.highest:g}")
    if isinstance(converted, str):
        return _checked_text(name, converted, source)
    return converted


def _checked_text(name: str, text: str, source: str) -> str:
    rule = _RULES[name]
    if not text and not rule.may_be_empty:
        raise ConfigurationError(f"{source}: it is empty", hint="leave it out, or give it a value")
    if rule.words and text.lower() not in rule.words:
        raise ConfigurationError(
            f"{source}: {_shown(text)}", hint=f"one of: {', '.join(rule.words)}"
        )
    if rule.address:
        from claude_tasks.domain.notification import check_address  # noqa: PLC0415 (rarely needed)

        try:
            check_address(name, text)
        except InvalidInputError as error:
            problem = error.message.removeprefix(name)
            raise ConfigurationError(f"{source}{problem}", hint=error.hint) from None
    return text.lower() if rule.words else text


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _consistent(settings: Settings, given: "Mapping[str, Any]") -> Settings:
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
