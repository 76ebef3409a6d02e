"""One run under watch, as the executor keeps it in memory, and its end."""

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

    With ``keeps_folder`` that has to stand: as the tombstone of a claim that another node may yet
    launch, or as the folder of somebody else's run.
    """

    run: Run
    facts: ExitFacts
    snapshot: TaskSnapshot
    folder: RunFolder
    keeps_folder: bool = False


class Watched:
    """One claim.

    While ``told`` the spawner will say when it ends, and until then no lock is no sign of death:
    the request may still be on its way. Otherwise nobody will say, and its folder is looked at.
    ``deadline`` (monotonic seconds) is when its supervisor counts as silent.
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
        """Nothing is known of its end."""
        self.run = run
        self.folder = folder
        self.snapshot = snapshot
        self.told = told
        self.deadline = deadline
        self.silent = False
        self.cancel_sent = False
        self.orphaned = False
        self.began = False
        """Whether it was seen that its agent was started."""
        self.complaint = ""

    def ended_as(self) -> ExitFacts | None:
        """What is to be said of it if its supervisor is found dead; None: that it was lost."""
        if not self.silent:
            return None
        ended_by = EndedBy.CANCEL if self.cancel_sent else EndedBy.TIMEOUT
        return ExitFacts(ended_by, error="its supervisor was silent, and was killed")

    def lost(self, why: str, *, keeps_folder: bool = False) -> Ended:
        """It ended, and nobody saw how."""
        facts = ExitFacts(EndedBy.LOST, error=why)
        return Ended(self.run, facts, self.snapshot, self.folder, keeps_folder=keeps_folder)
