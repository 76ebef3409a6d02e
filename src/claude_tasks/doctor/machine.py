"""Around us: clock and zones, who is told, what would start us, who may reach the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import cannot_be_read, failed, passed, shell, some, warned
from claude_tasks.domain.clock_step import EARLIEST_PLAUSIBLE
from claude_tasks.domain.instant import MINUTE_MS, human_duration, to_rfc3339

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        ChannelFacts,
        Contents,
        DatabaseFacts,
        ExposureFacts,
        ServiceFacts,
        ZoneFacts,
    )
    from claude_tasks.doctor.finding import Finding


def check_clock_and_zone(zone: ZoneFacts, database: DatabaseFacts) -> Finding:
    """The clock is plausible, nothing waits for a false future, zones are known."""
    name = "clock_and_zone"
    if zone.at < EARLIEST_PLAUSIBLE:
        text = f"the clock shows {to_rfc3339(zone.at)}: it was never set"
        return failed(name, text, "sudo timedatectl set-ntp true")
    if zone.data is not None:
        return failed(name, f"no time zone data: {zone.data.message}", "pip install tzdata")
    contents = database.contents
    if contents is not None and contents.left_by_clock:
        return _left_by_clock(contents, at=zone.at)
    if zone.recorded_at is not None and zone.recorded_at - zone.at > MINUTE_MS:
        back = human_duration((zone.recorded_at - zone.at) // MINUTE_MS * MINUTE_MS)
        text = f"the clock was set back: the database was written {back} from now"
        return warned(name, text, "sudo timedatectl set-ntp true")
    if not zone.variable_known:
        text = f"TZ={zone.variable} is no time zone known here: new tasks are taken to be in UTC"
        return warned(name, text, "unset TZ")
    named = f", TZ={zone.variable}" if zone.variable else ""
    return passed(name, f"{to_rfc3339(zone.at // 1000 * 1000)}; zone data is there{named}")


def _left_by_clock(contents: Contents, *, at: int) -> Finding:
    """Tasks that would be silent until a false future, and what helps."""
    holder = None if contents.lease is None else contents.lease.holder
    led = any(entry.alive and entry.node.id == holder for entry in contents.nodes)
    from claude_tasks.operations.clock_text import trouble

    troubles = [trouble(left, led=led, at=at) for left in contents.left_by_clock]
    lines = [each.line for each in troubles]
    return failed("clock_and_zone", f"the clock was ahead: {some(lines)}", troubles[0].fix)


def check_notifications(database: DatabaseFacts, channels: ChannelFacts) -> Finding:
    """Messages about runs arrive. WARN at most, if they can be read: runs do not need them."""
    name = "notifications"
    if channels.apprise is False:
        text = "an Apprise address is set, and the package is not installed"
        return warned(name, text, "pip install 'claude-tasks[apprise]'")
    contents = database.contents
    illegible = [] if contents is None else contents.what_is_illegible("messages")
    if illegible:
        return failed(name, cannot_be_read(illegible))
    given_up = () if contents is None else contents.given_up
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
        text = (
            "none is installed: after a restart of the machine nobody schedules until somebody"
            " starts a daemon; have systemd, launchd or the like run one"
        )
        return warned(name, text)
    wrong = _wrong_with(service)
    if wrong is not None:
        return warned(name, *wrong)
    unread = "" if service.unread is None else f" (without a look at {service.unread})"
    return passed(name, f"{service.path} is enabled{unread}")


def _wrong_with(service: ServiceFacts) -> tuple[str, str | None] | None:
    """What keeps it from starting, or from working; and what helps."""
    path = service.path
    if service.masked:
        unmask = f"{_systemctl(service)} unmask {shell(_unit(service))}"
        return f"{path} is masked: nothing starts it", unmask
    if not service.enabled:
        return f"{path} is not enabled: it does not start with the machine", _enable(service)
    if service.agent is not None:
        return f"{path} would not find the agent: {service.agent.message}", _edit(service)
    if service.lingers is False:
        text = f"{path} is enabled, but starts only once its user has logged in"
        return text, "loginctl enable-linger"
    return None


def check_api_exposure(exposure: ExposureFacts) -> Finding:
    """Beyond this machine only with a token: whoever can add a task can run code.

    FAIL for a node that is open now. Settings alone warn: ``serve`` refuses to start with them.
    """
    name = "api_exposure"
    host = exposure.host or "every address"
    if exposure.open_to:
        return _open_now(exposure)
    if exposure.trouble is not None:
        make = failed if not exposure.loopback else warned
        text = f"serve would not start: {exposure.trouble.text}"
        return make(name, text, exposure.fix)
    if exposure.loopback:
        return passed(name, f"{host}: this machine only")
    if exposure.has_token:
        return passed(name, f"{host}, with a token")
    text = f"{host} without a token: serve refuses to be open to all who can reach this machine"
    return warned(name, text, "claude-tasks token new")


def _open_now(exposure: ExposureFacts) -> Finding:
    where = [f"{it.role} {it.pid} on {it.host} at {it.listens}" for it in exposure.open_to]
    text = f"open without a token to all who can reach this machine: {some(where)}"
    if exposure.has_token:
        text = f"{text}; a token is there by now: stop it, and start it without --insecure-no-auth"
        return failed("api_exposure", text)
    text = f"{text}; make one, then stop it, and start it without --insecure-no-auth"
    return failed("api_exposure", text, "claude-tasks token new")


def _enable(service: ServiceFacts) -> str:
    if service.kind == "launchd":
        return f'launchctl bootstrap "gui/$(id -u)" {shell(service.path)}'
    return f"{_systemctl(service)} enable --now {shell(_unit(service))}"


def _edit(service: ServiceFacts) -> str | None:
    """Tell the service where this shell finds the agent; None where it does not either."""
    if service.agent_here is None:
        return None
    if service.kind == "launchd":
        path = shell(service.path)
        add = "plutil -replace EnvironmentVariables.CLAUDE_TASKS_CLAUDE_BIN -string"
        domain = '"gui/$(id -u)"'
        return (
            f"{add} {shell(service.agent_here)} {path}"
            f" && launchctl bootout {domain} {path} && launchctl bootstrap {domain} {path}"
        )
    sudo = "sudo " if service.by_system else ""
    folder = shell(f"{service.path}.d")
    value = service.agent_here.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    lines = shell("[Service]", f'Environment="CLAUDE_TASKS_CLAUDE_BIN={value}"')
    systemctl = _systemctl(service)
    return (
        f"{sudo}mkdir -p {folder}"
        f" && printf '%s\\n' {lines} | {sudo}tee {folder}/agent.conf"
        f" && {systemctl} daemon-reload && {systemctl} restart {shell(_unit(service))}"
    )


def _systemctl(service: ServiceFacts) -> str:
    return "sudo systemctl" if service.by_system else "systemctl --user"


def _unit(service: ServiceFacts) -> str:
    return service.path.rpartition("/")[2]
