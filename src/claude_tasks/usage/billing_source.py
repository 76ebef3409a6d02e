"""Where no subscription pays for the agent there is no window to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.usage import Reading
from claude_tasks.usage.credentials import other_billing

if TYPE_CHECKING:
    from collections.abc import Mapping


class OtherBillingSource:
    """Answers for an agent that is billed by an API key or a cloud provider."""

    name = "billing"

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` is the agent's."""
        self._environment = environment

    def ask(self, *, at: int) -> Reading:
        """A reading without windows. Errors: `UsageUnavailableError` where a subscription pays."""
        how = other_billing(self._environment)
        if how is None:
            raise UsageUnavailableError("a subscription pays for the agent", code="subscription")
        return Reading((), f"billed by {how}, no usage window applies", at)
