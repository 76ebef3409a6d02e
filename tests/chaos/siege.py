"""Many candidates on one data folder, blows that fall on them, and what must hold after each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

from claude_tasks.cli.exit_codes import DATABASE_GONE
from support.installation import DAEMON, EVERY_SECOND, TTL, pause
from support.waiting import wait_until

if TYPE_CHECKING:
    import random
    import subprocess

    from support.installation import Installation

LIVE_SECONDS = TTL + 5
"""How long after any fault every due tick has its agent again."""
_NOISE_SECONDS = 5
"""For a machine with two cores and many processes."""


class Siege:
    """An installation under fire. Every blow has a name; `strike` checks liveness after it."""

    def __init__(
        self, installation: Installation, chance: random.Random, *, candidates: int
    ) -> None:
        self.installation = installation
        self.chance = chance
        self._pipes: list[int] = []
        # Before the others, so that what becomes of their launches comes after its own.
        installation.operations.tasks.edit(
            installation.add(name="cannot be launched", cron_expr=EVERY_SECOND).id,
            {"working_dir": "~nobody/here"},
        )
        self.steady = installation.add(
            name="steady", cron_expr=EVERY_SECOND, prompt="[case:slow seconds=0.4]"
        )
        self.others = [
            installation.add(
                name="slow",
                cron_expr=EVERY_SECOND,
                overlap="queue",
                prompt="[case:slow seconds=1.5]",
            ),
            installation.add(
                name="wide",
                cron_expr=EVERY_SECOND,
                overlap="allow",
                max_concurrency=3,
                prompt="[case:slow seconds=2]",
            ),
            installation.add(name="every", cron_expr="@every 2s", catchup="all"),
            installation.add(
                name="cancels",
                cron_expr=EVERY_SECOND,
                overlap="cancel_other",
                prompt="[case:slow seconds=5]",
            ),
        ]
        installation.operations.tasks.edit(
            installation.add(name="here", cron_expr="@every 2s").id, {"working_dir": "."}
        )
        self.nodes = [installation.start() for _ in range(candidates)]

    @property
    def blows(self) -> dict[str, Any]:
        return {
            "kill": lambda place: self._end(place, signal.SIGKILL),
            "terminate": lambda place: self._end(place, signal.SIGTERM),
            "stop for a moment": self._stop_for_a_moment,
            "stop": self._stop,
            "stop the leader": lambda _: self._stop(self._leader()),
            "stop a spawner": self._stop_a_spawner,
            "fill the log pipe": self._with_a_full_pipe,
            "remove the start folder": self._without_a_start_folder,
            "replace the database": self._replace_the_database,
            "edit": self._edit,
        }

    def strike(self, blow: str) -> None:
        """One blow, then: some node works, so every due tick of the steady task starts."""
        self.blows[blow](self.chance.randrange(len(self.nodes)))
        self.require_liveness(f"after the blow: {blow}")

    def require_liveness(self, what: str) -> None:
        since = time.time_ns() // 1_000_000
        wait_until(
            lambda: self._started_since(since),
            seconds=LIVE_SECONDS + _NOISE_SECONDS,
            what=f"{what}: a tick due after {since} has its agent",
        )

    def end(self) -> None:
        """Everybody may work again; nothing new comes."""
        self._wake_all()
        for descriptor in self._pipes:
            os.close(descriptor)
        if all(node.poll() is not None for node in self.nodes):
            self.installation.start()
        wait_until(lambda: self.installation.leader_pid() is not None, seconds=60)

    def _started_since(self, since: int) -> bool:
        rows = self.installation.query(
            "SELECT id, claim FROM task_runs WHERE task_id = ? AND scheduled_for >= ? "
            "AND started_at IS NOT NULL",
            self.steady.id,
            since,
        )
        starts = self.installation.starts
        started = set(starts.read_text().split()) if starts.exists() else set()
        return any(f"{run_id}.{claim}" in started for run_id, claim in rows)

    def _leader(self) -> int:
        pid = self.installation.leader_pid()
        places = [place for place, node in enumerate(self.nodes) if node.pid == pid]
        return places[0] if places else 0

    def _end(self, place: int, number: signal.Signals) -> None:
        self.nodes[place].send_signal(number)
        self.nodes[place].wait(timeout=30)
        self.nodes[place] = self.installation.start()

    def _stop_for_a_moment(self, place: int) -> None:
        self.nodes[place].send_signal(signal.SIGSTOP)
        pause(0.3)
        self.nodes[place].send_signal(signal.SIGCONT)

    def _stop(self, place: int) -> None:
        """For longer than the ttl, with whatever it has in flight; it wakes after the check."""
        self.nodes[place].send_signal(signal.SIGSTOP)
        self.require_liveness("while a node is stopped")
        pause(self.chance.choice([0, TTL]))
        self.require_liveness("while a node is still stopped")
        self._wake(self.nodes[place])
        if self.nodes[place].poll() is not None:  # it was stopped in the middle of a write
            self.nodes[place] = self.installation.start()

    def _stop_a_spawner(self, place: int) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = f"/proc/{self.nodes[place].pid}/task/{self.nodes[place].pid}/children"
            with open(children) as file:
                for pid in file.read().split():
                    os.kill(int(pid), signal.SIGSTOP)

    def _with_a_full_pipe(self, place: int) -> None:
        """A node whose output nobody reads, from its first line on."""
        self.nodes[place].terminate()
        self.nodes[place].wait(timeout=30)
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        self._pipes.append(reading)
        command = (*DAEMON, "--log-level", "debug")
        self.nodes[place] = self.installation.start_onto(writing, *command)
        os.close(writing)

    def _without_a_start_folder(self, place: int) -> None:
        """A node that was started in a folder that is gone since."""
        self.nodes[place].terminate()
        self.nodes[place].wait(timeout=30)
        folder = self.installation.folder / f"start-{len(self.installation.processes)}"
        folder.mkdir()
        log = self.installation.logs / f"node-{len(self.installation.processes)}.log"
        with log.open("wb") as output:
            self.nodes[place] = self.installation.start_onto(output.fileno(), folder=folder)
        pause(self.chance.choice([0.0, 0.5]))
        shutil.rmtree(folder)

    def _replace_the_database(self, _place: int) -> None:
        """By its own copy, made while nobody writes: no row is lost, and every node has to end."""
        self._wake_all()
        wait_until(self._all_registered, what="every node has opened what is to be replaced")
        self.installation.replace_database()
        for place, node in enumerate(self.nodes):
            assert node.wait(timeout=20) in (DATABASE_GONE, -signal.SIGKILL), node.returncode
            self.nodes[place] = self.installation.start()
        self.installation.reopen()

    def _all_registered(self) -> bool:
        registered = {pid for (pid,) in self.installation.query("SELECT pid FROM nodes")}
        return all(node.poll() is not None or node.pid in registered for node in self.nodes)

    def _edit(self, _place: int) -> None:
        task = self.chance.choice(self.others)
        self.installation.operations.tasks.edit(task.id, {"model": f"m{self.chance.random()}"})

    def _wake_all(self) -> None:
        for node in self.nodes:
            self._wake(node)

    @staticmethod
    def _wake(node: subprocess.Popen[bytes]) -> None:
        if node.poll() is None:
            node.send_signal(signal.SIGCONT)
