"""Records for how long each Lease has not been renewed, as one process sees it."""

from dataclasses import dataclass

from uploadpp.core.lease_claim import Record


@dataclass(slots=True)
class _Sighting:
    """What a Lease said when we last looked, and for how long it has said so while we could look."""

    mark: tuple[str, str]
    looked_at: float
    silent_seconds: float = 0.0
    blind: bool = False


class Sightings:
    """For how long each Lease has not been renewed, as far as this process could see.

    Shared by all shards of a process, so that nobody's time begins anew with another look. Time in which
    the API server did not answer hardly counts: the holder could not renew either.
    """

    def __init__(self) -> None:
        self._sightings: dict[str, _Sighting] = {}

    def saw(self, name: str, record: Record, now: float, *, blind_seconds: float) -> float:
        """Note a look; returns the seconds without a renewal.

        Args:
            name: of the Lease.
            record: what it says.
            now: our clock before the request.
            blind_seconds: how much of a time in which no look succeeded counts at most.
        """
        mark = (record.holder, record.renewed)
        known = self._sightings.get(name)
        if known is None or known.mark != mark:
            self._sightings[name] = _Sighting(mark, now)
            return 0.0
        passed = now - known.looked_at
        known.silent_seconds += min(passed, blind_seconds) if known.blind else passed
        known.looked_at, known.blind = now, False
        return known.silent_seconds

    def failed(self, name: str) -> None:
        """A look has not succeeded."""
        if (known := self._sightings.get(name)) is not None:
            known.blind = True

    def silence(self, name: str) -> float:
        """The seconds without a renewal at the last look."""
        known = self._sightings.get(name)
        return known.silent_seconds if known is not None else 0.0
