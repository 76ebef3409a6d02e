"""Records that several checks look at.

No ``annotations`` import from the future: it would have each record compile its annotations from
text, which every start of the command pays for.
"""

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.hint import Hint
from claude_tasks.domain.signs import ClaimSigns
from claude_tasks.domain.usage import UsageState

if TYPE_CHECKING:
    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.notification import StalledChannel
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
        return Hint(self.message, "; ", self.hint) if self.hint else self.message


def trouble_of(error: ClaudeTasksError) -> Trouble:
    """An error, kept as a fact."""
    return Trouble(error.message, error.hint, error.code)


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


class Illegible(NamedTuple):
    """What could not be read of a part, with the command that helps.

    ``of_all`` is whether it is not about a row: nothing of the part could be read.
    """

    part: str
    text: str
    fix: str | None = None
    of_all: bool = False


class Contents(NamedTuple):
    """What stands in the database.

    ``lost`` are (run, task's name) of the last day; ``failing`` are (task, name) whose last five
    runs all failed; ``given_up`` says why messages of the last day did not arrive, newest first;
    ``stalled`` are channels that take none just now.
    ``left_by_clock`` are tasks that wait for a false future, ``furthest_instant`` (ms) is the
    furthest that anybody wrote. ``lease`` is None where its row cannot be read. ``illegible`` is
    about its parts ``lease``, ``nodes``, ``tasks``, ``runs`` and ``messages``.
    """

    lease: "Lease | None"
    nodes: tuple[NodeFact, ...] = ()
    tasks: tuple[TaskFact, ...] = ()
    running: tuple[RunningFact, ...] = ()
    lost: tuple[tuple[int, str], ...] = ()
    failing: tuple[tuple[int, str], ...] = ()
    given_up: tuple[str, ...] = ()
    stalled: "tuple[StalledChannel, ...]" = ()
    usage: UsageState = UsageState(None, None)
    left_by_clock: "tuple[LeftTask, ...]" = ()
    furthest_instant: int = 0
    illegible: tuple[Illegible, ...] = ()

    def what_is_illegible(self, *parts: str) -> list[str]:
        """What could not be read of these parts."""
        return [it.text for it in self.illegible if it.part in parts]


class DatabaseFacts(NamedTuple):
    """The database, read without changing anything.

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


class MachineFacts(NamedTuple):
    """This process: its version, and whether the agent refuses to bypass permissions for it."""

    version: str
    host: str
    refuses_bypass: bool
