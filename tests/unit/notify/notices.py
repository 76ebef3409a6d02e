"""Notices for tests."""

from claude_tasks.notify.notice import Event, Notice

FAILED = Notice(
    event=Event.STARTED_FAILING,
    task_id=7,
    task_name="Nightly report",
    run_id=42,
    state="failed",
    reason="timeout",
    error="the agent was stopped after 30 min",
    output="## Done so far\n- **3** of 5",
    scheduled_for=1_764_000_000_000,
    started_at=1_764_000_001_500,
    ended_at=1_764_001_801_500,
    duration_ms=1_800_000,
    cost_usd=0.25,
    attempt=2,
    session_id="0a1b2c3d",
    host="worker-1",
    version="1.4.0",
    failures_in_a_row=3,
)
TEST = Notice(Event.TEST, None, "", host="worker-1", version="1.4.0")
