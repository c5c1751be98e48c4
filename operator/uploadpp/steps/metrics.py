"""Metrics of a step. Labels never hold ids, names of files or users."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from uploadpp import __version__
from uploadpp.process.stalls import StallMetrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series of times of creation for each counter helps nobody

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)


class StepMetrics:
    """The metrics of one process that works on one step."""

    def __init__(self, step: str) -> None:
        self.registry = CollectorRegistry()
        r, step_label = self.registry, ["step"]

        def counter(name: str, text: str) -> Counter:
            return Counter(f"uploadpp_step_{name}", text, step_label, registry=r).labels(step)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"uploadpp_step_{name}", text, step_label, registry=r).labels(step)

        self.loop = StallMetrics(r, "uploadpp_step_loop")
        info = Gauge("uploadpp_step_build_info", "Always 1.", ["step", "version"], registry=r)
        info.labels(step, __version__).set(1)
        self.starts = counter("starts", "Starts of this step that were received for the first time.")
        self.repeated = counter(
            "repeated", "Starts received again while their work is running or done. They are not repeated."
        )
        self.redelivered = counter(
            "redelivered", "Starts that NATS delivered again because a process was busy or died."
        )
        self.bad_messages = counter("bad_messages", "Malformed messages.")
        self.running = gauge("running", "Uploads being worked on.")
        self.unread = gauge("unread", "Messages in the stream that were not read yet.")
        self.bytes = counter("downloaded_bytes", "Bytes downloaded.")
        self.failures = Counter(
            "uploadpp_step_failures",
            "Work that ended without a verdict and became a retry, by reason.",
            ["step", "reason"],
            registry=r,
        )
        self.answers = Counter(
            "uploadpp_step_answers",
            "Answers stored in the stream, by outcome.",
            ["step", "outcome"],
            registry=r,
        )
        self.age = Histogram(
            "uploadpp_step_start_age_seconds",
            "Age of a start when its work began.",
            step_label,
            buckets=SECONDS,
            registry=r,
        ).labels(step)
        self.duration = Histogram(
            "uploadpp_step_work_seconds",
            "Duration of the work on an upload, by outcome.",
            ["step", "outcome"],
            buckets=SECONDS,
            registry=r,
        )

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)
