"""What tells of a run beside its folder, which somebody may have removed.

The file beside its events names the claim that began to write there, before its agent was started.
An agent is known by the marker in its environment, a supervisor by its open ``spec.json``.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from claude_tasks.execution.contract import EventsOwner
from claude_tasks.execution.event_stream import owner_of
from claude_tasks.execution.process_tree import look_for_the_living
from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.execution.run_log import events_path

if TYPE_CHECKING:
    from claude_tasks.execution.process_tree import Living
    from claude_tasks.execution.watched import Watched
    from claude_tasks.system.data_folder import DataFolder


class Traces:
    """Looks at all processes once, and again only after `forget`: some 0.1 ms for each of them."""

    def __init__(self, folder: DataFolder) -> None:
        """Of the runs of this data folder."""
        self._data = folder
        self._living: Living | None = None

    def forget(self) -> None:
        """A new pass begins: who lives is looked up anew, once it is asked for."""
        self._living = None

    def has_begun(self, watched: Watched) -> bool:
        """Whether the agent of this claim was started, by what stands elsewhere.

        Beside its events; or in the folder of another claim of the run, which goes when that is
        over: then the row names a claim that somebody made up.
        """
        run = watched.run
        owner = owner_of(events_path(self._data.logs, run.task_id, run.id))
        claims = (run.claim, None)  # an earlier version's may have been of this one
        watched.began = (
            watched.began
            or owner in [EventsOwner(run.id, run.queued_at, claim) for claim in claims]
            or any(
                folder != watched.folder and os.path.exists(folder.started)
                for folder in self._folders_of(run.id)
            )
        )
        return watched.began

    def lives_on(self, run_id: int) -> bool:
        """Whether anything of a run lives, whatever became of its folders."""
        self._living = self._living or look_for_the_living()
        begins = os.path.join(self._data.runs, f"{run_id}.")
        return any(path.startswith(begins) for paths in self._living for path in paths)

    def _folders_of(self, run_id: int) -> list[RunFolder]:
        """Those of all its claims."""
        begins = f"{run_id}."
        try:
            names = os.listdir(self._data.runs)
        except FileNotFoundError:  # all of them were removed
            return []
        return [
            RunFolder(os.path.join(self._data.runs, name))
            for name in names
            if name.startswith(begins) and name.removeprefix(begins).lstrip("-").isdecimal()
        ]

    def lives(self, run_id: int) -> bool:
        """Whether a supervisor or an agent of a run lives, of whichever claim."""
        self.forget()
        for folder in self._folders_of(run_id):
            with contextlib.suppress(OSError):  # what took its place
                if folder.is_supervised():
                    return True
        return self.lives_on(run_id)
