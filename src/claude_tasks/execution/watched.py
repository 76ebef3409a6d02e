"""One watched run, as the executor keeps it in memory, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.signs import SUPERVISOR_SILENCE_MS
from claude_tasks.execution.contract import EndedBy, ExitFacts

if TYPE_CHECKING:
    from claude_tasks.domain.run import Run
    from claude_tasks.execution.contract import TaskSnapshot
    from claude_tasks.execution.run_folder import RunFolder

SILENT_SECONDS = SUPERVISOR_SILENCE_MS / 1000


class Ended(NamedTuple):
    """A claim that is over. ``facts`` is what ``exit.json`` says; ``snapshot`` the task as run.

    With ``keeps_folder`` the folder must not be removed: it is the tombstone of a claim that
    another node may still launch, or belongs to a run of another database.
    """

    run: Run
    facts: ExitFacts
    snapshot: TaskSnapshot
    folder: RunFolder
    keeps_folder: bool = False


class Watched:
    """One claim.

    While ``told`` the spawner will report its end; until then a missing lock proves nothing, for
    the request may be on its way. Otherwise the executor looks at the folder. ``deadline``
    (monotonic seconds) is when its supervisor counts as silent.
    """

    def __init__(
        self,
        run: Run,
        folder: RunFolder,
        snapshot: TaskSnapshot,
        *,
        told: bool,
        deadline: float,
    ) -> None:
        """Begin without an end."""
        self.run = run
        self.folder = folder
        self.snapshot = snapshot
        self.told = told
        self.deadline = deadline
        self.silent = False
        self.cancel_sent = False
        self.orphaned = False
        self.began = False
        """Whether a look found that its agent was started."""
        self.complaint = ""

    def ended_as(self) -> ExitFacts | None:
        """How the claim ended if its supervisor is found dead; None: it was lost."""
        if not self.silent:
            return None
        ended_by = EndedBy.CANCEL if self.cancel_sent else EndedBy.TIMEOUT
        return ExitFacts(ended_by, error="its supervisor was silent, and was killed")

    def lost(self, why: str, *, keeps_folder: bool = False) -> Ended:
        """The end of a claim whose real end was not recorded."""
        facts = ExitFacts(EndedBy.LOST, error=why)
        return Ended(self.run, facts, self.snapshot, self.folder, keeps_folder=keeps_folder)
