"""Around us: clock and zones, who is told, what would start us, who may reach the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import failed, passed, shell, warned
from claude_tasks.domain.instant import MINUTE_MS, human_duration, to_rfc3339

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        ChannelFacts,
        DatabaseFacts,
        ExposureFacts,
        ServiceFacts,
        ZoneFacts,
    )
    from claude_tasks.doctor.finding import Finding

EARLIEST_PLAUSIBLE = 1_735_689_600_000
"""2025-01-01T00:00:00Z: a clock that shows less was never set."""


def check_clock_and_zone(zone: ZoneFacts) -> Finding:
    """The clock is plausible, zone data is there, TZ names a zone."""
    name = "clock_and_zone"
    if zone.at < EARLIEST_PLAUSIBLE:
        text = f"the clock shows {to_rfc3339(zone.at)}: it was never set"
        return failed(name, text, "sudo timedatectl set-ntp true")
    if zone.data is not None:
        return failed(name, f"no time zone data: {zone.data.message}", "pip install tzdata")
    if zone.recorded_at is not None and zone.recorded_at - zone.at > MINUTE_MS:
        back = human_duration((zone.recorded_at - zone.at) // MINUTE_MS * MINUTE_MS)
        text = f"the clock was set back: the lease was renewed {back} from now"
        return warned(name, text, "sudo timedatectl set-ntp true")
    if not zone.variable_known:
        text = f"TZ={zone.variable} is no time zone known here: new tasks are taken to be in UTC"
        return warned(name, text, "export TZ=Europe/Berlin")
    named = f", TZ={zone.variable}" if zone.variable else ""
    return passed(name, f"{to_rfc3339(zone.at // 1000 * 1000)}; zone data is there{named}")


def check_notifications(database: DatabaseFacts, channels: ChannelFacts) -> Finding:
    """Messages about runs arrive. WARN at most: runs do not need them."""
    name = "notifications"
    if channels.apprise is False:
        text = "an Apprise address is set, and the package is not installed"
        return warned(name, text, "pip install 'claude-tasks[apprise]'")
    given_up = () if database.contents is None else database.contents.given_up
    if given_up:
        text = f"{len(given_up)} given up in the last day, the newest to {given_up[0]}"
        return warned(name, text, "claude-tasks notify")
    own = f"{channels.tasks} task{'s' * (channels.tasks != 1)} with channels of their own"
    told = [*channels.general, *([own] if channels.tasks else [])]
    return passed(name, ", ".join(told) or "no channel is set: nobody is told of a failure")


def check_service(service: ServiceFacts) -> Finding:
    """Something starts us with the machine, and finds the agent then. WARN at most."""
    name = "service"
    if service.kind is None:
        text = "none is installed: after a restart of the machine nobody schedules until started"
        return warned(name, text)
    if not service.enabled:
        text = f"{service.path} is not enabled: it does not start with the machine"
        return warned(name, text, _enable(service))
    if service.agent is not None:
        text = f"{service.path} would not find the agent: {service.agent.message}"
        return warned(name, text, _edit(service))
    return passed(name, f"{service.path} is enabled")


def check_api_exposure(exposure: ExposureFacts) -> Finding:
    """Beyond this machine only with a token: whoever can add a task can run code."""
    name = "api_exposure"
    host = exposure.host or "every address"
    if exposure.trouble is not None:
        make = failed if not exposure.loopback else warned
        text = f"serve would not start: {exposure.trouble.text}"
        return make(name, text, "claude-tasks token new --replace")
    if exposure.loopback:
        return passed(name, f"{host}: this machine only")
    if exposure.has_token:
        return passed(name, f"{host}, with a token")
    text = f"{host} without a token is open to everyone who can reach this machine"
    return failed(name, text, "claude-tasks token new")


def _enable(service: ServiceFacts) -> str:
    if service.kind == "launchd":
        return f'launchctl bootstrap "gui/$(id -u)" {shell(service.path)}'
    return f"{_systemctl(service)} enable --now {shell(_unit(service))}"


def _edit(service: ServiceFacts) -> str:
    setting = f"CLAUDE_TASKS_CLAUDE_BIN={service.agent_path or '/path/to/claude'}"
    if service.kind == "launchd":
        path = shell(service.path)
        add = "plutil -insert EnvironmentVariables.CLAUDE_TASKS_CLAUDE_BIN -string"
        return f"{add} {shell(setting.partition('=')[2])} {path}"
    drop_in = f"{service.path}.d"
    lines = shell("[Service]", f"Environment={setting}")
    return (
        f"mkdir -p {shell(drop_in)} && printf '%s\\n' {lines} > {shell(drop_in + '/agent.conf')}"
        f" && {_systemctl(service)} daemon-reload"
    )


def _systemctl(service: ServiceFacts) -> str:
    return "sudo systemctl" if service.by_system else "systemctl --user"


def _unit(service: ServiceFacts) -> str:
    return service.path.rpartition("/")[2]
