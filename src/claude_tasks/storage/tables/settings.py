"""Settings that people change while the program runs."""

from __future__ import annotations

from claude_tasks.storage.named_sql import load
from claude_tasks.storage.tables.base import Tables


class SettingsTable(Tables):
    """The store's part about settings."""

    def get_setting(self, key: str) -> str | None:
        """The value of a key."""
        value: str | None = self._connection.value(load("settings")["get_setting"], {"key": key})
        return value

    def put_setting(self, key: str, value: str, *, at: int) -> None:
        """Replace the value of a key."""
        parameters = {"key": key, "value": value, "at": at}
        with self._connection.write():
            self._connection.execute(load("settings")["put_setting"], parameters)
            self._note("settings", key, at)
