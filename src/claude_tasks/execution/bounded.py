"""Output of any size in bounded memory: head and tail are kept, the bytes between are counted.

The tail is kept because the conclusion of an agent's work is at the end.
"""

from __future__ import annotations

from collections import deque


class Tail:
    """The last ``limit`` bytes of a stream."""

    def __init__(self, limit: int) -> None:
        """Keep at most ``limit`` bytes, plus one chunk while trimming."""
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.dropped = 0
        """Bytes that were pushed out."""

    def write(self, chunk: bytes) -> None:
        """Append; bytes beyond the limit are dropped at the front."""
        if len(chunk) > self._limit:
            self.dropped += len(chunk) - self._limit
            chunk = chunk[-self._limit :]
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= self._limit:
            gone = self._chunks.popleft()
            self._size -= len(gone)
            self.dropped += len(gone)

    def value(self) -> bytes:
        """The kept bytes, trimmed to the limit exactly; what that drops is counted."""
        kept = b"".join(self._chunks)
        if len(kept) > self._limit:
            self.dropped += len(kept) - self._limit
            kept = kept[-self._limit :]
            self._chunks = deque([kept])
            self._size = len(kept)
        return kept


class HeadAndTail:
    """The first and the last bytes of a stream, as text that names the size of the gap."""

    def __init__(self, head: int, tail: int) -> None:
        """Keep ``head`` bytes from the start and ``tail`` bytes from the end."""
        self._head_limit = head
        self._head = bytearray()
        self._tail = Tail(tail)

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._tail.write(chunk)

    def text(self) -> str:
        """The kept bytes, decoded; invalid UTF-8 becomes U+FFFD."""
        tail = self._tail.value()
        if not self._tail.dropped:
            return (bytes(self._head) + tail).decode(errors="replace")
        gap = f"\n[… {self._tail.dropped:,} bytes left out …]\n"
        return self._head.decode(errors="ignore") + gap + tail.decode(errors="ignore")


def shorten(text: str, *, head: int, tail: int) -> str:
    """A text cut to head and tail, by characters."""
    if len(text) <= head + tail:
        return text
    gap = f"\n[… {len(text) - head - tail:,} characters left out …]\n"
    return text[:head] + gap + text[-tail:]
