"""Lines of a stream that arrives in pieces.

Standard library only, and no import of ours: the operator and `kubectl pp` share this file.
"""


class LineBuffer:
    """Splits a stream into lines. An incomplete line is not copied for each piece of it that arrives."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._since = 0.0

    def __len__(self) -> int:
        """Bytes of the incomplete line."""
        return len(self._rest)

    @property
    def rest(self) -> bytes:
        """The incomplete line."""
        return bytes(self._rest)

    def feed(self, data: bytes, now: float) -> "list[bytes]":
        """The lines that these bytes complete, without their line feeds; `now` is in seconds."""
        if not self._rest:
            self._since = now
        first, *lines = data.split(b"\n")
        self._rest += first
        if lines:
            lines.insert(0, bytes(self._rest))
            self._rest, self._since = bytearray(lines.pop()), now
        return lines

    def age(self, now: float) -> float:
        """Seconds since the first byte of the incomplete line arrived; 0 when there is no such line."""
        return now - self._since if self._rest else 0.0
