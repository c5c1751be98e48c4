"""What a process says of itself: on /readyz, in its figures, and when it cannot begin."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.fernet import Fernet

from uploadpp.ownership import app as module
from uploadpp.ownership.app import App
from uploadpp.process.configuration import ConfigurationError, read_settings


def settings(tmp_path: Path, key: str) -> Any:  # noqa: ANN401 -- Settings
    path = tmp_path / "key"
    path.write_text(key)
    names = {"UPLOADPP_NAMESPACE": "ocis", "UPLOADPP_SEALING_KEY_FILE": str(path)}
    return read_settings({}, {**names, "POSTPROCESSING_STEPS": "virusscan"})


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """A process whose connection is well."""
    monkeypatch.setattr(module, "trouble", lambda client: client.trouble)
    made = App(settings(tmp_path, Fernet.generate_key().decode()))
    made._connecting = cast("Any", SimpleNamespace(trouble="", server_time=lambda: 0))
    return made


def candidate(problem: str = "", **figures: int) -> Any:  # noqa: ANN401 -- a ShardCandidate
    ownership = SimpleNamespace(**figures) if figures else None
    report = [f"report of {problem or 'nothing'}"]
    return SimpleNamespace(
        ownership=ownership, problem=problem, report=report, lacks_key=False, differing_steps=""
    )


def test_before_it_competes_it_says_how_far_it_has_come(app: App) -> None:
    assert app._unready() == "starting"
    app._connecting = cast("Any", SimpleNamespace(trouble="no server"))
    assert app._unready() == "starting: no server"


def test_standing_by_is_being_ready(app: App) -> None:
    """A rollout waits for it before it stops the present owner."""
    app._candidates = [candidate(), candidate()]
    assert app._unready() == ""


def test_what_several_shards_say_alike_is_said_once(app: App) -> None:
    app._candidates = [candidate("replaying the log"), candidate("a watch"), candidate("replaying the log")]
    app._rights = cast("Any", SimpleNamespace(problem="no right"))
    assert app._unready() == "a watch; replaying the log; cannot record: no right"
    app._connecting = cast("Any", SimpleNamespace(trouble="lost"))
    assert app._unready().startswith("lost; a watch")


def test_each_thing_that_readiness_looks_at_has_a_line(app: App) -> None:
    app._candidates = [candidate("a")]
    assert app._report() == ["[+]nats ok", "report of a"]
    app._rights = cast("Any", SimpleNamespace(problem=""))
    app._connecting = cast("Any", SimpleNamespace(trouble="lost"))
    assert app._report() == ["[-]nats failed: lost", "[+]rights ok", "report of a"]
    app._connecting = None
    assert app._report()[0] == "[-]nats failed: not connected"


def test_figures_are_those_of_all_shards_that_are_owned(app: App) -> None:
    limit = SimpleNamespace(recorded=3, characters=7)
    shared: dict[str, Any] = {"unread": 0, "unsaved": 0, "unrecorded": 0, "in_memory": (), "limit": limit}
    app._candidates = [
        candidate(unacknowledged=4, lag_seconds=2, **shared),
        candidate(),
        candidate(unacknowledged=5, lag_seconds=9, **shared),
    ]
    app._publish_backlogs()
    text = app._metrics.text().decode()
    assert "uploadpp_log_unacknowledged 9.0" in text
    assert "uploadpp_log_lag_seconds 9.0" in text, "the shard that is furthest behind counts"
    app._candidates = [app._candidates[1]]
    assert "uploadpp_log_lag_seconds 0.0" in app._metrics.text().decode()


def test_a_message_is_named_only_while_it_is_worked_on(app: App) -> None:
    app._candidates = [candidate(processing=7), candidate(processing=0), candidate(), candidate(processing=9)]
    assert app._processing() == "sequence 7,sequence 9"


def test_a_key_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"UPLOADPP_SEALING_KEY_FILE=.*generate-key") as refused:
        App(settings(tmp_path, "secret-and-wrong"))
    assert "secret-and-wrong" not in str(refused.value)
