"""Which metrics of the operator mean trouble."""

from kubectl_pp import metrics
from kubectl_pp.findings import Verdict


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
