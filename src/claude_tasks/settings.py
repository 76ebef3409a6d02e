"""Every setting in one typed table: default < config file < environment < flag.

No ``annotations`` import from the future: its records would compile them from text at every start.
"""

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args

from claude_tasks.domain.control_characters import escape_controls
from claude_tasks.domain.errors import ConfigurationError, FieldError
from claude_tasks.domain.task_fields import ADDRESS_FIELDS, FIELDS
from claude_tasks.system.data_folder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.domain.notification import Addresses

_PREFIX = "CLAUDE_TASKS_"
DATA_VARIABLE = "CLAUDE_TASKS_DATA"
DEFAULT_DATA = "~/.claude-tasks"
_SHOWN_LENGTH = 80
"""Of a value in a message."""


_HOUR = 60 * 60
_DAY = 24 * _HOUR


class Setting(NamedTuple):
    """What a setting is for and what it may be; its line in `Settings` has name, type and default.

    Durations are in seconds. ``unset`` says what holds by default where that is no value. A
    ``secret`` is shown nowhere, and stands in no environment but this process's own. One that is
    ``needed`` where it is named may not be empty: what looked it up has failed, and without it a
    door would be open. An ``address`` is where something is sent.
    """

    help: str
    lowest: float | None = None
    highest: float | None = None
    words: tuple[str, ...] = ()
    unset: str = ""
    secret: bool = False
    needed: bool = False
    address: bool = False
    may_be_empty: bool = False
    convert: "Callable[[Any], Any]" = str


class Settings(NamedTuple):
    """Each field is also ``field`` in config.toml and ``CLAUDE_TASKS_FIELD`` in the environment."""

    data: Annotated[
        str, Setting("the data folder; it must be on a local disk", unset="`~/.claude-tasks`")
    ]
    claude_bin: Annotated[
        str | None,
        Setting(
            "the agent; its folder is put on its PATH",
            unset="PATH, then the usual install places, the newest version first",
        ),
    ] = None
    max_concurrent_runs: Annotated[
        int, Setting("runs at once, all tasks together", lowest=1, highest=1000)
    ] = 8
    lease_ttl: Annotated[
        float,
        Setting("seconds after which a hung leader is replaced", lowest=0.5, highest=_HOUR),
    ] = 15.0
    lease_renew: Annotated[
        float, Setting("seconds between its renewals", lowest=0.05, highest=_HOUR)
    ] = 5.0
    lease_margin: Annotated[
        float,
        Setting(
            "seconds before expiry when it no longer trusts itself", lowest=0.05, highest=_HOUR
        ),
    ] = 2.0
    kill_grace: Annotated[
        float, Setting("seconds between TERM and KILL", lowest=0, highest=_HOUR)
    ] = 5.0
    linger: Annotated[
        float,
        Setting(
            "seconds of silence after which an agent is ended that reported its result and does "
            "not exit",
            lowest=0.1,
            highest=_DAY,
        ),
    ] = 60.0
    retry_backoff: Annotated[
        float,
        Setting("seconds before the first retry; doubles each time", lowest=0, highest=_DAY),
    ] = 30.0
    log_level: Annotated[
        str, Setting("of daemon and server", words=("debug", "info", "warning", "error"))
    ] = "info"
    host: Annotated[
        str, Setting("where `serve` listens; empty: on every address", may_be_empty=True)
    ] = "127.0.0.1"
    port: Annotated[
        int, Setting("where `serve` listens; 0 takes a free one", lowest=0, highest=65535)
    ] = 8080
    auth_token: Annotated[
        str | None,
        Setting("what clients must send", unset="the file in the data folder", secret=True,
                needed=True),
    ] = None  # fmt: skip
    read_token: Annotated[
        str | None,
        Setting("what those must send that may only read", unset="the file in the data folder",
                secret=True, needed=True),
    ] = None  # fmt: skip
    cors_origin: Annotated[str | None, Setting("the one web origin that may ask")] = None
    allowed_hosts: Annotated[
        str,
        Setting(
            "further names of this server, such as that of a reverse proxy: "
            "`tasks.example.org,box:8080`; by other names only `/api/v1/health` answers",
            may_be_empty=True,
        ),
    ] = ""
    api_run_concurrency: Annotated[
        int,
        Setting("runs at once that were asked for through one server; 0 takes none", lowest=0,
                highest=1000),
    ] = 8  # fmt: skip
    disable_usage_check: Annotated[
        bool, Setting("`true`: how much of the subscription is used is not looked at")
    ] = False
    usage_url: Annotated[str, Setting("where usage is looked up", address=True)] = (
        "https://api.anthropic.com/api/oauth/usage"
    )
    usage_timeout: Annotated[
        float, Setting("seconds that a look at usage may take", lowest=0.1, highest=14)
    ] = 10.0
    on_usage_limit: Annotated[
        str,
        Setting(
            "what runs do while a usage window is full", words=FIELDS["on_usage_limit"].choices
        ),
    ] = "skip"
    notify_on: Annotated[
        str,
        Setting("which ends of runs are told: `change` is a task that starts failing, or recovers",
                words=FIELDS["notify_on"].choices),
    ] = "failure"  # fmt: skip
    webhook_secret: Annotated[
        str | None,
        Setting(
            "signs JSON webhooks: `X-Claude-Tasks-Signature`, HMAC-SHA256 of timestamp, dot, body",
            secret=True,
            needed=True,
        ),
    ] = None
    heartbeat_url: Annotated[
        str | None,
        Setting("asked for while the leader is healthy, so that its silence is noticed",
                secret=True, address=True),
    ] = None  # fmt: skip
    heartbeat_interval: Annotated[
        float, Setting("seconds between those", lowest=1, highest=_DAY)
    ] = 60.0
    addresses: "Addresses" = MappingProxyType({})
    """Where messages about tasks go that say nothing of it, by channel: see `ADDRESS_FIELDS`."""
    overdue_after: Annotated[
        float,
        Setting("seconds after which a tick that did not begin is told", lowest=10,
                highest=30 * _DAY),
    ] = 300.0  # fmt: skip

    def __repr__(self) -> str:
        """Without what is secret: this may end up in a log."""
        told = (f"{name}={value!r}" for name, value in self._asdict().items()
                if name not in SECRET_SETTINGS and name != "addresses")  # fmt: skip
        return f"Settings({', '.join(told)})"

    @property
    def folder(self) -> DataFolder:
        """The paths below ``data``."""
        return DataFolder(self.data)


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


def _declared(annotation: Any) -> Setting:
    """The setting with what makes a value of its type."""
    kind, setting = get_args(annotation)
    kind = next(each for each in (*get_args(kind), kind) if each is not type(None))
    return setting._replace(convert=_CONVERT[kind])  # type: ignore[no-any-return]


_CONVERT: "dict[Any, Callable[[Any], Any]]" = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _switch,
}
SETTINGS = {
    name: _declared(kind)
    for name, kind in Settings.__annotations__.items()
    if name not in ("data", "addresses")
} | {
    name: Setting(f"{FIELDS[name].help}, where a task names none", secret=True, address=True,
                  convert=_text)
    for name in ADDRESS_FIELDS
}  # fmt: skip
"""Every setting but the folder in which config.toml lies."""

KEYS = "keys"
"""The table of ``config.toml`` that is for the terminal UI."""

SECRET_SETTINGS = tuple(name for name, setting in SETTINGS.items() if setting.secret)
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
    values = file_settings(DataFolder(data).config)
    for name, setting in SETTINGS.items():
        text = environment.get(_PREFIX + name.upper())
        if text == "" and setting.needed:
            raise ConfigurationError(
                f"{_PREFIX}{name.upper()}: it is empty", hint="unset it, or give it a value"
            )
        if text:
            values[name] = _checked(name, text, _PREFIX + name.upper())
    for name, value in given.items():
        values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    addresses = {
        channel: values.pop(name) for name, channel in ADDRESS_FIELDS.items() if name in values
    }
    return _consistent(Settings(data=data, addresses=addresses, **values), values)


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


def file_settings(path: str) -> dict[str, Any]:
    """The settings in ``config.toml``; {} without one. Errors: `ConfigurationError`."""
    entries = _config(path)
    entries.pop(KEYS, None)
    unknown = sorted(set(entries) - set(SETTINGS))
    if unknown:
        raise ConfigurationError(
            f"{path}: unknown setting {unknown[0]}", hint=f"known: {', '.join(sorted(SETTINGS))}"
        )
    return {name: _checked(name, value, f"{path}: {name}") for name, value in entries.items()}


def _config(path: str) -> dict[str, Any]:
    if not os.path.lexists(path):  # or its folder cannot be entered, which others say better
        return {}
    # Most installations have no such file.
    from claude_tasks.system.config_file import read_config  # noqa: PLC0415

    return read_config(path)


def _checked(name: str, value: object, source: str) -> Any:
    setting = SETTINGS[name]
    shown = "it" if setting.secret else _shown(value)
    try:
        converted = setting.convert(value)
    except KeyError:
        raise ConfigurationError(f"{source}: {shown}", hint="one of: true, false") from None
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f"{source}: {shown} {_NO_WORD[setting.convert]}") from None
    if setting.lowest is not None and not converted >= setting.lowest:
        raise ConfigurationError(f"{source}: {shown} is too small, at least {setting.lowest:g}")
    if setting.highest is not None and converted > setting.highest:
        raise ConfigurationError(f"{source}: {shown} is too large, at most {setting.highest:g}")
    if isinstance(converted, str):
        return _checked_text(name, converted, source)
    return converted


def _checked_text(name: str, text: str, source: str) -> str:
    setting = SETTINGS[name]
    if not text and not setting.may_be_empty:
        raise ConfigurationError(f"{source}: it is empty", hint="leave it out, or give it a value")
    if setting.words and text.lower() not in setting.words:
        raise ConfigurationError(
            f"{source}: {_shown(text)}", hint=f"one of: {', '.join(setting.words)}"
        )
    if setting.address:
        from claude_tasks.domain.notification import check_address  # noqa: PLC0415 (rarely needed)

        try:
            check_address(name, text)
        except FieldError as error:
            raise ConfigurationError(f"{source}{error.problem}", hint=error.hint) from None
    return text.lower() if setting.words else text


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
