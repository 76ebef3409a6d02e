"""``claude-tasks serve`` as a process on a throw-away installation, and a client for it."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import httpx

from support.waiting import wait_until

if TYPE_CHECKING:
    from support.installation import Installation

SERVE = ("-m", "claude_tasks", "serve", "--port", "0")
_ADDRESS = re.compile(r"Listening on (http://\S+)/api/v1")


class Server:
    """One server and what is asked of it. ``client`` asks below ``/api/v1``."""

    def __init__(self, installation: Installation, *flags: str, **environment: str) -> None:
        self.installation = installation
        self.place = len(installation.processes)
        self.process = installation.start(*SERVE, *flags, **environment)
        self.address = wait_until(self._address, what="the server listens") or ""
        token = environment.get("CLAUDE_TASKS_AUTH_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(
            base_url=f"{self.address}/api/v1", headers=headers, timeout=15, trust_env=False
        )

    @property
    def log(self) -> str:
        return self.installation.log(self.place)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of a GET that succeeds."""
        answer = self.client.get(path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def add(self, **fields: Any) -> Any:
        """A task, added through the API; disabled cron tasks never fire by themselves."""
        request = {"name": "task", "prompt": "hello", "cron_expr": "0 3 1 1 *", "enabled": True}
        answer = self.client.post("/tasks", json={**request, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def run(self, task_id: int) -> int:
        """Ask for a run; its id."""
        answer = self.client.post(f"/tasks/{task_id}/run")
        assert answer.status_code == 202, answer.text
        return int(answer.json()["run_id"])

    def ended(self, run_id: int, *, seconds: float = 30) -> Any:
        """A run, once it has ended."""

        def look() -> Any:
            run = self.get(f"/runs/{run_id}")
            return run if run["state"] not in ("queued", "running") else None

        return wait_until(look, seconds=seconds, what=f"run {run_id} has ended")

    def stop(self) -> int:
        """SIGTERM, then its exit code."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def close(self) -> None:
        """Let the client go; the installation ends the process."""
        self.client.close()

    def _address(self) -> str | None:
        found = _ADDRESS.search(self.log)
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.log}")
        return found[1] if found else None
