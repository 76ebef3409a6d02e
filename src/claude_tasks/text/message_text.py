"""Messages about runs, as text: sent, on their way, given up."""

from __future__ import annotations

from claude_tasks.domain.hint import Command, Hint
from claude_tasks.text.blocks import Column, Table, Toned
from claude_tasks.text.times import relative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.notification import DeliveryCounts, DeliveryRecord

_COLUMNS = (
    Column("WHEN"),
    Column("TASK", flexible=2),
    Column("RUN", right=True),
    Column("EVENT", droppable=True),
    Column("CHANNEL"),
    Column("BECAME"),
    Column("WHY", flexible=3),
)
_ADDRESS_END = "/…: "


def message_table(records: Sequence[DeliveryRecord], *, now: int) -> Table:
    """Messages, a line each."""
    return Table(_COLUMNS, [_row(record, now) for record in records], empty="No messages yet.")


def message_line(record: DeliveryRecord, *, now: int) -> str:
    """``slack: given up after 8 tries: …``: a message of a run."""
    why = f": {record.error}" if record.error else ""
    return f"{record.channel}: {_became(record, now=now)}{why}"


def _became(record: DeliveryRecord, *, now: int) -> Toned:
    tries = f"{record.attempts} tr{'y' if record.attempts == 1 else 'ies'}"
    if record.state == "sent":
        return Toned("sent" if record.attempts == 1 else f"sent after {tries}", "good")
    if record.state == "failed":
        return Toned(f"given up after {tries}", "bad")
    if record.error is None:
        return Toned("on its way", "dim")
    when = relative(max(now, record.next_attempt_at or now), now=now)
    return Toned(f"{tries}, again {when}", "warn")


def counts_text(counts: DeliveryCounts) -> Toned:
    """``3 sent, 1 on its way, 2 given up in the last 24 h``."""
    parts = [
        f"{count} {word}"
        for count, word in (
            (counts.sent, "sent"),
            (counts.pending, "on the way"),
            (counts.failed, "given up"),
        )
        if count
    ]
    if not parts:
        return Toned("")
    text = f"{', '.join(parts)} in the last 24 h"
    return Toned(Hint(text, "; see ", Command("notify")), "warn") if counts.failed else Toned(text)


def _row(record: DeliveryRecord, now: int) -> tuple[str, ...]:
    return (
        relative(record.created_at, now=now),
        record.task_name,
        "-" if record.run_id is None else str(record.run_id),
        record.event.replace("_", " "),
        record.channel,
        _became(record, now=now),
        _why(record),
    )


def _why(record: DeliveryRecord) -> str:
    """Without the address, which the channel stands for."""
    error = record.error or ""
    return error.partition(_ADDRESS_END)[2] or error
