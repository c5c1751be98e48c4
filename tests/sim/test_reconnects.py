"""What the log has stored while there was no connection to NATS comes before the operator's own timers."""

import pytest

from uploadpp.core.states import OnExhausted
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import step_finished
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in


@pytest.mark.parametrize("back_at", [10.0, 10.1, 10.3, 10.7, 11.0])
@pytest.mark.parametrize(
    ("policy", "answer", "told"),
    [(OnExhausted.CONTINUE, "delete", "delete"), (OnExhausted.ABORT, "continue", "continue")],
)
@pytest.mark.parametrize("before", [0, 700], ids=["alone", "behind many others"])
def test_an_answer_from_the_time_without_a_connection_counts(
    policy: OnExhausted, answer: str, told: str, back_at: float, before: int
) -> None:
    """The step's time-out passes before the connection is back; the answer was in time."""
    sim = Simulation(2, config(step("virusscan", timeout=3, retries=0, policy=policy), ttl=1000))
    sim.world.script = [""]  # the step says nothing of its own accord
    with logged_in(sim.trace):
        process = sim.start()
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1")
        sim.kernel.run_until(1.6)
        process.client.disconnect()
        sim.kernel.run_until(2.0)
        for number in range(before):
            sim.journal.publish(
                "PostprocessingStepFinished", step_finished(f"nobody-{number}", "a", "continue")
            )
        sim.journal.publish("PostprocessingStepFinished", step_finished("up-1", "virusscan", answer))
        sim.kernel.run_until(back_at)
        process.client.reconnect()
        sim.kernel.run_until(back_at + 20)
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    ends = [each.payload["Outcome"] for each in sim.journal.records if each.type == "PostprocessingFinished"]
    assert ends == [told]
