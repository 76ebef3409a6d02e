from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.execution.process_table import refuse_without_process_table

if TYPE_CHECKING:
    from pathlib import Path


def test_on_linux_a_node_wants_the_table_of_processes(tmp_path: Path) -> None:
    refuse_without_process_table()
    refuse_without_process_table(str(tmp_path), platform="darwin")
    with pytest.raises(ConfigurationError, match="is not mounted") as refused:
        refuse_without_process_table(str(tmp_path), platform="linux")
    assert f"mount -t proc proc {tmp_path}" in str(refused.value.hint)
