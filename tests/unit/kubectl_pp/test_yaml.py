"""Any object survives the YAML printer."""

import yaml as reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_pp import yaml

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
