"""Traces of a run outside its folder, for the case that the folder was removed.

The file beside its events names the claim that writes there, from before its agent was started. An
agent is recognised by the marker in its environment, a supervisor by its open ``spec.json``.
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
    """Searches all processes once, and again only after `forget`: about 0.1 ms for each."""

    def __init__(self, folder: DataFolder) -> None:
        """Look for runs of this data folder."""
        self._data = folder
        self._living: Living | None = None

    def forget(self) -> None:
        """Begin a new pass: the next question searches the processes again."""
        self._living = None

    def has_begun(self, watched: Watched) -> bool:
        """Whether the agent of this claim was started, by traces outside its folder.

        The trace is the file beside its events, or a folder of another claim of the run. Such a
        folder is removed with its claim's end; so the row's claim number must have been altered.
        """
        run = watched.run
        owner = owner_of(events_path(self._data.logs, run.task_id, run.id))
        claims = (run.claim, None)  # None: an earlier version named no claim
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
        """Whether a process of a run lives, with or without its folders."""
        self._living = self._living or look_for_the_living()
        begins = os.path.join(self._data.runs, f"{run_id}.")
        return any(path.startswith(begins) for paths in self._living for path in paths)

    def _folders_of(self, run_id: int) -> list[RunFolder]:
        """The folders of all claims of a run."""
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
        """Whether a supervisor or an agent of a run lives, of any claim."""
        self.forget()
        for folder in self._folders_of(run_id):
            with contextlib.suppress(OSError):  # not a folder of ours
                if folder.is_supervised():
                    return True
        return self.lives_on(run_id)
