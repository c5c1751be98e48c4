"""Lengths of time, YAML, tables and hints."""

from unicodedata import category

import pytest
import yaml as reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_pp import metrics, yaml
from kubectl_pp.client import pause
from kubectl_pp.errors import UsageError
from kubectl_pp.findings import Verdict
from kubectl_pp.hints import hints
from kubectl_pp.screen import MAX_SHOWN, clip, harmless, safe, wrap
from kubectl_pp.times import human, parse_age, parse_duration, parse_time
from kubectl_pp.ui.rows import ATTENTION, Row
from kubectl_pp.upload import Upload, stage_icon
from kubectl_pp.verbs.stats import rank
from kubectl_pp.words import silence
from uploadpp.core.states import Outcome, Stage
from uploadpp.core.text import clean


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (2.44, "2.4s"),
        (9.0, "9s"),
        (119, "119s"),
        (192, "3m12s"),
        (600, "10m"),
        (10_799, "179m"),
        (12_600, "3h30m"),
        (86_400, "24h"),
        (180_000, "2d2h"),
        (86_400 * 400, "400d"),
        (-5, "0ms"),
    ],
)
def test_lengths_of_time_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert human(seconds) == text


def test_lengths_of_time_as_people_write_them() -> None:
    assert parse_duration("90", "--x") == parse_duration("1m30s", "--x") == 90
    assert parse_duration("1.5h", "--x") == 5400
    for wrong in ("", "-1s", "1y", "s"):
        with pytest.raises(UsageError):
            parse_duration(wrong, "--x")


@pytest.mark.parametrize("text", ["5", "30", "007", "9" * 60])
def test_an_age_has_a_unit(text: str) -> None:
    """`prune --older 5` would remove what ended five seconds ago."""
    with pytest.raises(UsageError, match="has no unit") as found:
        parse_age(text, "--older")
    assert f"{text}d" in found.value.remedy
    assert parse_age(f"{text}s", "--older") == parse_duration(text, "--timeout")
    assert parse_age("0", "--older") == 0


def test_times_that_cannot_be_read_are_absent() -> None:
    assert parse_time("2026-11-23T01:00:00.5Z") == parse_time("2026-11-23T01:00:00.5") == 1795395600.5
    assert parse_time("soon") is parse_time("") is parse_time(None) is None


words = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine proves nothing
@given(st.dictionaries(words, json_values, max_size=3))
def test_any_object_survives_our_yaml(value: dict[str, object]) -> None:
    assert reference.safe_load(yaml.dump(value)) == value


def test_nothing_of_a_file_name_reaches_the_terminal() -> None:
    assert harmless("a\x1b[2J\r\n\x07\x9bb") == "a\\x1b[2J\\r\\n\\x07\\x9bb"


@given(st.text(alphabet="ab \t"), st.integers(20, 60))
def test_wrapped_text_is_the_text(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines)
    assert len(clip(text, 10)) <= 10


def test_percentiles_are_values_that_occurred() -> None:
    assert [rank([1.0, 2.0, 3.0, 4.0], p) for p in (0, 50, 95, 100)] == [1.0, 2.0, 4.0, 4.0]
    assert rank([7.0], 50) == 7.0


@pytest.mark.parametrize("outcome", [*Outcome, None])
@pytest.mark.parametrize("stuck", [True, False])
@pytest.mark.parametrize("stage", [*Stage, "FromTheFuture"])
def test_every_state_has_advice_and_an_icon(stage: str, *, stuck: bool, outcome: str | None) -> None:
    conditions = [{"type": "Succeeded", "reason": stage, "status": "Unknown"}]
    conditions += [{"type": "Stalled", "status": "True"}] * stuck
    steps = [{"name": "a", "state": "Running"}, {"name": "b"}]
    status = {"conditions": conditions, "currentStep": "a", "steps": steps, "outcome": outcome or ""}
    upload = Upload({"metadata": {"name": "n"}, "spec": {"upload": {"id": "n"}}, "status": status})
    found = hints(upload, 100.0)
    assert found or stage == "FromTheFuture"
    assert all(hint.text.endswith((".", "?", ":", ")")) for hint in found)
    assert all(hint.text.endswith((":", "?")) for hint in found if hint.command)
    if outcome == Outcome.ABORT and stage == Stage.AWAITING_READY:
        assert not any("resume" in hint.command for hint in found)
    assert stage_icon(stage, stuck=stuck)
    for hint in found:
        assert ("ocis" in hint.text) == ("opencloud" in hint.text), "people run one or the other"
        assert ("OCIS_" in hint.text) == ("OC_" in hint.text)


@pytest.mark.parametrize(("stage", "state"), [(Stage.RUNNING, "Running"), (Stage.QUEUED, "Waiting")])
def test_an_upload_without_a_service_says_so_everywhere(stage: Stage, state: str) -> None:
    conditions = [
        {"type": "Unserved", "reason": "NoService", "status": "True", "message": "no service listens"},
        {"type": "Succeeded", "reason": stage, "status": "Unknown", "message": "waiting"},
    ]

    def with_conditions(*found: dict[str, str]) -> Upload:
        steps = [{"name": "a", "state": state}]
        status = {"conditions": [*found], "currentStep": "a", "steps": steps}
        return Upload({"metadata": {"name": "n"}, "spec": {"upload": {"id": "n"}}, "status": status})

    upload = with_conditions(*conditions)
    assert (upload.stage, upload.status_word, upload.message) == (stage, "NoService", "no service listens")
    assert upload.stuck
    assert silence(upload) == "no service"
    assert Row(upload, 1).rank(0.0, frozenset()) == ATTENTION
    assert "Start the service of step a" in hints(upload, 0.0)[0].text
    upload = with_conditions(*conditions[1:])
    assert (upload.status_word, upload.message, silence(upload)) == (stage, "waiting", "")
    assert not upload.stuck


def test_metrics_that_mean_trouble() -> None:
    text = """# HELP uploadpp_log_unread x
uploadpp_build_info{version="9.9.9"} 1.0
uploadpp_log_unread 5000.0
uploadpp_bad_messages_total{defect="a"} 1.0
uploadpp_bad_messages_total{defect="b"} 2.0
"""
    found = list(metrics.judge(metrics.parse(text)))
    assert [f.text for f in found if f.verdict is Verdict.WARNING] == [
        "event stream: 5,000 unread messages, 0 awaiting acknowledgement",
        "3 messages could not be decoded",
    ]
    assert found[0].remedy == "use the plugin of the operator's version"


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("1", 1.0),
        ("3600", 5.0),
        ("9" * 5000, 5.0),
        ("-1", 0.2),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.2),
        (None, 0.2),
    ],
)
def test_no_server_makes_us_wait_for_long(asked: str | None, seconds: float) -> None:
    assert pause(asked, 1) == seconds


@pytest.mark.parametrize(
    "text", ["1" * 100_000, "1." * 50_000, "1s" * 50_000, "1m" * 50_000 + "x", "\u0661s", "1e3s"]
)
def test_what_is_not_a_length_of_time_is_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration") as error:
        parse_duration(text, "--since")
    assert len(str(error.value)) < 200


@given(st.text(max_size=300))
def test_the_plugin_and_the_operator_show_text_alike(text: str) -> None:
    assert harmless(text) == clean(text, MAX_SHOWN)
    shown = safe(text).replace("\n", "")
    assert "\x1b[" in text or all(char.isprintable() or category(char) == "Zs" for char in shown)
