"""Settings that people change while the program runs."""

from __future__ import annotations

from claude_tasks.storage.named_sql import load
from claude_tasks.storage.tables.base import Tables


class SettingsTable(Tables):
    """The room of settings."""

    def get_setting(self, key: str) -> str | None:
        """What was put under a key."""
        value: str | None = self._connection.value(load("settings")["get_setting"], {"key": key})
        return value

    def put_setting(self, key: str, value: str, *, at: int) -> None:
        """Keep a value in place of the earlier one."""
        parameters = {"key": key, "value": value, "at": at}
        with self._connection.write():
            self._connection.execute(load("settings")["put_setting"], parameters)
            self._note("settings", key, at)
