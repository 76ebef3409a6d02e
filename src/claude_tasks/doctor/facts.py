"""The facts that checks look at, each group gathered when first asked for.

No ``annotations`` import from the future: it would have each record compile its annotations from
text, which every start of the command pays for.
"""

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.signs import ClaimSigns
from claude_tasks.domain.usage import UsageState

if TYPE_CHECKING:
    from claude_tasks.doctor.ports import Gatherers
    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.signs import Stall
    from claude_tasks.domain.task import Task
    from claude_tasks.system.path_probe import Looked


class Trouble(NamedTuple):
    """Why something could not be had, in the words of the error that said so."""

    message: str
    hint: str | None = None
    code: str = "error"

    @property
    def text(self) -> str:
        """Message and hint."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class AgentFacts(NamedTuple):
    """The agent's binary: where, or why not; what it says to ``--version``, or how it failed.

    ``elsewhere`` is one that would be found without the setting that leads nowhere. With
    ``needs_node`` it found no node; ``node`` is one that is not on its PATH.
    """

    path: str | None
    missing: Trouble | None = None
    from_setting: bool = False
    elsewhere: str | None = None
    says: str = ""
    does_not_run: str | None = None
    needs_node: bool = False
    node: str | None = None


class CredentialFacts(NamedTuple):
    """What pays for the agent. ``expires_at`` is ms, None where nothing says so.

    ``unreadable`` is a file of credentials that is there and may not be read.
    """

    at: int
    check_disabled: bool = False
    billed_by: str | None = None
    source: str | None = None
    expires_at: int | None = None
    trouble: Trouble | None = None
    unreadable: str | None = None


class Barred(NamedTuple):
    """What this user may not write, and why: whose it is, or how its file system is mounted."""

    path: str
    is_folder: bool
    ours: bool
    read_only_mount: bool = False


class FolderFacts(NamedTuple):
    """One folder. ``base`` is it, or its nearest ancestor that exists; ``barred`` is about that.

    ``leads_nowhere`` is a link whose target is not there.
    """

    path: str
    exists: bool
    is_folder: bool
    base: str
    barred: Barred | None = None
    leads_nowhere: bool = False
    base_is_folder: bool = True


class DiskFacts(NamedTuple):
    """Room left for this user where something is, or would be.

    ``free_entries`` counts the files that can still be made, None where there is no such limit.
    """

    path: str
    free_bytes: int
    free_entries: int | None = None


class LooseEntry(NamedTuple):
    """A file or folder of ours that others may look into. Modes are permission bits.

    ``outside`` is where a link out of the data folder leads: shown, and not ours to change.
    """

    path: str
    mode: int
    wanted: int
    holds_secrets: bool = False
    outside: bool = False


class PermissionFacts(NamedTuple):
    """``foreign`` belongs to somebody else; ``partial`` says that not all was looked at."""

    looked_at: int
    loose: tuple[LooseEntry, ...] = ()
    foreign: tuple[str, ...] = ()
    as_root: bool = False
    unreadable: tuple[str, ...] = ()
    partial: bool = False


class NodeFact(NamedTuple):
    """A registered node, and what its lifetime lock says: None where it cannot be looked at.

    ``is_process`` is whether the process of that number, here, is the node: a number is given to
    another process in time, and means another one in another container. One that lives and hangs
    has been ``silent_ms`` without a beat; ``stall`` is what keeps it, as far as that is known.
    """

    node: "Node"
    alive: bool | None
    is_process: bool = False
    silent_ms: int | None = None
    stall: "Stall | None" = None

    @property
    def works(self) -> bool:
        """It lives, and does not hang."""
        return bool(self.alive) and self.silent_ms is None


class RunningFact(NamedTuple):
    """A run that has not ended, the node that it is with, and whether that lives.

    ``queued_for_ms`` is how long it waits already, None once it runs.
    """

    run_id: int
    task_name: str
    watched: bool
    queued_for_ms: int | None = None
    node_id: str | None = None
    signs: ClaimSigns = ClaimSigns()


class TaskFact(NamedTuple):
    """An enabled task, its working directory resolved as a run would, and what stands there.

    ``mount`` is where the mount of a folder that does not answer seems to begin.
    """

    task: "Task"
    folder: str
    looked: "Looked"
    mount: str | None = None


class Contents(NamedTuple):
    """What stands in the database.

    ``lost`` are (run, task's name) of the last day; ``failing`` are (task, name) whose last five
    runs all failed; ``given_up`` says why messages of the last day did not arrive, newest first.
    ``left_by_clock`` are tasks that wait for a false future, ``furthest_instant`` (ms) is the
    furthest that anybody wrote. ``lease`` is None where its row cannot be read. ``illegible`` says
    of each part (``lease``, ``nodes``, ``tasks``, ``runs``, ``messages``) what of it could not be
    read.
    """

    lease: "Lease | None"
    nodes: tuple[NodeFact, ...] = ()
    tasks: tuple[TaskFact, ...] = ()
    running: tuple[RunningFact, ...] = ()
    lost: tuple[tuple[int, str], ...] = ()
    failing: tuple[tuple[int, str], ...] = ()
    given_up: tuple[str, ...] = ()
    usage: UsageState = UsageState(None, None)
    left_by_clock: "tuple[LeftTask, ...]" = ()
    furthest_instant: int = 0
    illegible: tuple[tuple[str, str], ...] = ()

    def what_is_illegible(self, *parts: str) -> list[str]:
        """What could not be read of these parts."""
        return [text for part, text in self.illegible if part in parts]


class LivenessFacts(NamedTuple):
    """Processes that live beside the registry, or in its way.

    ``strangers`` are nodes of another database than the one in its place; ``writer`` does nothing,
    and keeps everybody else from writing.
    """

    strangers: tuple[int, ...] = ()
    writer: "tuple[int, Stall] | None" = None


class DatabaseFacts(NamedTuple):
    """The database, opened without a trace.

    ``barred`` are it, its folder, its log and its index, as far as they cannot be written.
    ``unseen`` says why commits in the write-ahead log could not be read along. ``is_large`` is
    whether only its pages were looked at. ``contents`` is None where nothing could be read, and
    ``unread`` says why. ``left_over`` are rescued or damaged databases beside it.
    """

    path: str
    exists: bool
    barred: tuple[Barred, ...] = ()
    network: Trouble | None = None
    trouble: Trouble | None = None
    damage: tuple[str, ...] = ()
    schema: int = 0
    newest_schema: int = 0
    journal_mode: str = "wal"
    unseen: str | None = None
    is_large: bool = False
    left_over: tuple[str, ...] = ()
    contents: Contents | None = None
    unread: str = "there is no database yet"


class ZoneFacts(NamedTuple):
    """Clock and zone data. ``recorded_at`` is the newest instant that the database shows."""

    at: int
    variable: str = ""
    variable_known: bool = True
    data: Trouble | None = None
    recorded_at: int | None = None


class ServiceFacts(NamedTuple):
    """What would start us with the machine. ``kind`` is systemd or launchd, None without any.

    ``agent`` says why its search path does not lead to the agent; ``agent_here`` is where this
    shell finds it. ``unread`` is a file of variables that could not be read. ``lingers`` is
    whether a user's own services start before that user logs in, None where that is not asked.
    """

    kind: str | None
    path: str = ""
    enabled: bool = False
    by_system: bool = False
    agent_path: str | None = None
    agent: Trouble | None = None
    agent_here: str | None = None
    masked: bool = False
    unread: str | None = None
    lingers: bool | None = None


class ChannelFacts(NamedTuple):
    """Whether anybody is told: channels of the settings, and of how many enabled tasks.

    ``apprise`` says whether its package is there, None where no address asks for it.
    """

    general: tuple[str, ...] = ()
    tasks: int = 0
    apprise: bool | None = None


class ExposureFacts(NamedTuple):
    """Where the API would listen, and what it would ask for. The tokens stay where they are.

    ``fix`` is the command that mends a token that cannot be used, None where none does. ``open_to``
    are living nodes that listen beyond this machine and ask for no token.
    """

    host: str
    loopback: bool
    has_token: bool
    trouble: Trouble | None = None
    fix: str | None = None
    open_to: "tuple[Node, ...]" = ()


class MachineFacts(NamedTuple):
    """This process: its version, and whether the agent refuses to bypass permissions for it."""

    version: str
    host: str
    refuses_bypass: bool


class Facts:
    """Facts of one look at ``at``; a group is gathered when first asked for, then kept."""

    def __init__(self, gatherers: "Gatherers", *, at: int, machine: MachineFacts) -> None:
        """Nothing is looked at yet."""
        self._from = gatherers
        self.at = at
        self.machine = machine

    @cached_property
    def agent(self) -> AgentFacts:
        """The agent's binary. Takes as long as that takes to say its version."""
        return self._from.agent()

    @cached_property
    def credentials(self) -> CredentialFacts:
        """What pays for the agent."""
        return self._from.credentials()

    @cached_property
    def data(self) -> FolderFacts:
        """The data folder."""
        return self._from.data()

    @cached_property
    def logs(self) -> FolderFacts:
        """The logs' folder."""
        return self._from.logs()

    @cached_property
    def inner(self) -> tuple[FolderFacts, ...]:
        """The folders within the data folder without which no node starts."""
        return self._from.inner()

    @cached_property
    def disk(self) -> tuple[DiskFacts, ...]:
        """Room left: where the data is, and where the logs are, if that is elsewhere."""
        return self._from.disk()

    @cached_property
    def permissions(self) -> PermissionFacts:
        """Who may look into the data folder."""
        return self._from.permissions()

    @cached_property
    def database(self) -> DatabaseFacts:
        """The database, with its contents."""
        return self._from.database()

    @cached_property
    def liveness(self) -> LivenessFacts:
        """Who lives beside the registry, or in its way."""
        return self._from.liveness(self.database)

    @cached_property
    def zone(self) -> ZoneFacts:
        """Clock and zone data, held against what the lease shows."""
        contents = self.database.contents
        if contents is None:
            return self._from.zone(None)
        renewed_at = None if contents.lease is None else contents.lease.renewed_at
        recorded_at = max(contents.furthest_instant, renewed_at or 0)
        return self._from.zone(recorded_at or None)

    @cached_property
    def service(self) -> ServiceFacts:
        """What would start us with the machine."""
        return self._from.service()

    @property
    def usage(self) -> UsageState:
        """What is known of usage."""
        contents = self.database.contents
        return UsageState(None, None) if contents is None else contents.usage

    @cached_property
    def channels(self) -> ChannelFacts:
        """Where messages go."""
        contents = self.database.contents
        return self._from.channels(() if contents is None else contents.tasks)

    @cached_property
    def exposure(self) -> ExposureFacts:
        """Where the API would listen, and where it does."""
        contents = self.database.contents
        return self._from.exposure(() if contents is None else contents.nodes)
