"""What the checks read of resources and messages. They look at the same ones again and again."""

from uploadpp.api.codec import from_resource
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, Origin, Upload
from uploadpp.core.plan_text import read_sealed_plan
from uploadpp.testing.apiserver import Json
from uploadpp.testing.operator_process import PlainSeals
from uploadpp.wire.decode import Event, decode
from uploadpp.wire.marks import AnyMark


class Readings:
    """Resources and messages of one run, each read once.

    A change puts another resource in the place of the stored one, and leaves that one as it is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._seals = PlainSeals()
        self._uploads: dict[int, tuple[Json, Upload]] = {}
        self._events: dict[tuple[bytes, int, int], Event | None] = {}

    def upload(self, resource: Json) -> Upload:
        """The upload a resource stands for."""
        known = self._uploads.get(id(resource))
        if known is None:  # the resource is kept as well, so that no other one gets its id
            known = self._uploads[id(resource)] = (resource, self._read(resource))
        return known[1]

    def _read(self, resource: Json) -> Upload:
        sealed = resource["spec"].get("sealed", "")
        upload_id = resource["spec"]["upload"]["id"]
        origin, plan = self._seals.open(sealed, upload_id) if sealed else (Origin(), {})
        return from_resource(resource, self._config, origin, read_sealed_plan(plan))

    def event(self, data: bytes, sequence: int, at: int) -> Event | None:
        """What a message means that came in the stream at that time.

        Raises:
            BadMessageError: nobody can know.
        """
        key = (data, sequence, at)
        if key not in self._events:
            self._events[key] = decode(data, sequence, Millis(at), AnyMark())
        return self._events[key]
