"""The rule of the demo's step `policies`."""

from e2e.demo.steps.policies import allowed


def test_policy_looks_at_name_and_size() -> None:
    assert allowed({"Filename": "report.pdf", "Filesize": 1})
    assert not allowed({"Filename": "Setup.EXE", "Filesize": 1})
    assert not allowed({"Filename": "backup.tar", "Filesize": 2 << 30})
