"""The page of `kubectl pp ui` and resources that no operator has written: any status, any text."""

import copy
import json
import time
from argparse import Namespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.detail import describe
from kubectl_pp.ui.filters import Filter
from kubectl_pp.ui.model import Model
from kubectl_pp.ui.stream import Stream
from kubectl_pp.upload import Upload
from tests.plugin.test_foreign_text import FORBIDDEN
from tests.plugin.test_goldens import STATES
from tests.plugin.test_ui_rows import seen

COMMANDS = Commands(Namespace(), "ocis")
RAW = {state: seen(make("some-upload")).raw for state, make in STATES.items()}
TIMES = st.sampled_from(
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "now", "2026-01-01"]
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    TIMES,
    st.just([]),
    st.just({}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- JSON
    """Where a JSON value has values."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        found += places(each, (*path, key))
    return found


def replaced(value: Any, path: tuple[Any, ...], odd: object) -> None:  # noqa: ANN401 -- JSON
    """Put an odd value there, unless the place is gone by now."""
    for key in path[:-1]:
        value = value[key] if isinstance(value, dict | list) and key in dict(_items(value)) else None
    if isinstance(value, dict | list) and path[-1] in dict(_items(value)):
        value[path[-1]] = odd


def _items(value: Any) -> Any:  # noqa: ANN401 -- JSON
    return value.items() if isinstance(value, dict) else enumerate(value)


@given(st.data(), st.sampled_from(sorted(STATES)))
@settings(max_examples=150)
def test_no_status_breaks_the_page(data: st.DataObject, state: str) -> None:
    raw = copy.deepcopy(RAW[state])
    every = [path for path in places(raw["status"]) if path]
    for path in data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4)):
        replaced(raw["status"], path, data.draw(ODD))
    upload, now, model = Upload(raw), time.time(), Model()
    model.load([upload])
    model.put(upload)
    sent = b"".join(Stream(model, Filter(view="all"), upload.key, COMMANDS).frame(now)).decode()
    told = json.dumps(describe(upload, [], COMMANDS, now), allow_nan=False, ensure_ascii=False)
    assert "rows" in sent
    assert not FORBIDDEN.search(sent)
    assert not FORBIDDEN.search(told)
    for line in sent.splitlines():
        if line.startswith("data: "):
            assert json.dumps(json.loads(line.removeprefix("data: ")), allow_nan=False)
