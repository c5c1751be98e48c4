"""How long uploads have been in their stages. Computed at each scrape, so that it costs no event anything."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from uploadpp.core.model import Millis, Upload
from uploadpp.core.states import ENDED, Stage

LABELS = ("stage", "step")
IN_STAGE = (
    "uploadpp_oldest_in_stage_seconds",
    "Age of the oldest upload in this stage and step; for Running, since the current attempt began.",
)
UPLOAD = (
    "uploadpp_oldest_upload_seconds",
    "Time since the current run of the oldest upload in this stage and step began.",
)

StageAndStep = tuple[Stage, str]
_ENDED = frozenset(map(id, ENDED))


def oldest(uploads: Iterable[Upload]) -> dict[StageAndStep, tuple[Millis, Millis]]:
    """For each stage and step that uploads are in, since when the oldest is there, and in postprocessing.

    Tens of thousands are looked at while the event loop waits, so the loop does nothing that it can leave to
    one upload of each kind: an enum's hash and `current_step` would cost ten times as much.
    """
    kinds: dict[tuple[int, str], tuple[Upload, Millis, Millis]] = {}
    for upload in uploads:
        stage, cursor, plan = upload.stage, upload.cursor, upload.plan
        if id(stage) in _ENDED:
            continue
        since, begun = upload.since, upload.started_at or upload.since
        if stage is Stage.RUNNING and cursor < len(upload.steps):
            since = upload.steps[cursor].started_at or since
        kind = (id(stage), plan[cursor].name if cursor < len(plan) else "")
        known = kinds.get(kind)
        if known is None:
            kinds[kind] = (upload, since, begun)
        elif since < known[1] or begun < known[2]:
            kinds[kind] = (upload, min(since, known[1]), min(begun, known[2]))
    found: dict[StageAndStep, tuple[Millis, Millis]] = {}
    for upload, since, begun in kinds.values():
        place = (upload.stage, upload.current_step)
        others = found.get(place, (since, begun))
        found[place] = (min(since, others[0]), min(begun, others[1]))
    return found


class UploadAges(Collector):
    """The ages as metrics, without a series for a stage and step without uploads."""

    _labelnames = LABELS

    def __init__(self, registry: CollectorRegistry, label: Callable[[str], str] = str) -> None:
        self._label = label
        self._uploads: Callable[[], Iterable[Upload]] = tuple
        self._clock: Callable[[], Millis] = lambda: Millis(0)
        registry.register(self)

    def tell_of(self, uploads: Callable[[], Iterable[Upload]], clock: Callable[[], Millis]) -> None:
        """Report these, once there are any to report."""
        self._uploads, self._clock = uploads, clock

    def describe(self) -> Iterable[Metric]:
        """The metrics without their numbers."""
        return [GaugeMetricFamily(*each, labels=LABELS) for each in (IN_STAGE, UPLOAD)]

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        in_stage, whole = (GaugeMetricFamily(*each, labels=LABELS) for each in (IN_STAGE, UPLOAD))
        now = self._clock()
        found: dict[StageAndStep, tuple[Millis, Millis]] = {}
        for (stage, step), (since, begun) in oldest(self._uploads()).items():
            place = (stage, self._label(step))
            others = found.get(place, (since, begun))
            found[place] = (min(since, others[0]), min(begun, others[1]))
        for place, (since, begun) in found.items():
            in_stage.add_metric(place, max(now - since, 0) / 1000)
            whole.add_metric(place, max(now - begun, 0) / 1000)
        return [in_stage, whole]
