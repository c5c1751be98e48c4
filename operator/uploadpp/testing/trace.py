"""What happened in a run, in words and in order."""

from dataclasses import dataclass, field

from uploadpp.testing.kernel import Kernel


@dataclass(slots=True)
class Trace:
    """Numbered lines: when, who, what."""

    kernel: Kernel
    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, actor: str, what: str) -> None:
        """Note something."""
        self.lines.append((self.kernel.now, actor, what))

    def text(self) -> str:
        """All lines, for a person."""
        width = max((len(actor) for _, actor, _ in self.lines), default=0)
        return "\n".join(
            f"{number:5d}  {at:10.4f} s  {actor:<{width}}  {what}"
            for number, (at, actor, what) in enumerate(self.lines, 1)
        )
