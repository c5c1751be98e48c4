"""Names in request paths."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from uploadpp.kube.errors import NotFoundError
from uploadpp.kube.paths import api_path

NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: name not in {".", ".."})


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_path_has_one_segment_for_each_name_whatever_is_in_it(names: list[str]) -> None:
    url = URL("https://10.0.0.1:6443" + api_path(*names), encoded=True)
    asked = urlsplit(str(url))
    assert (asked.netloc, asked.query, asked.fragment) == ("10.0.0.1:6443", "", "")
    assert [unquote(segment) for segment in asked.path.split("/")[1:]] == names
    assert str(url).isascii()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_no_object_can_have_a_name_that_leads_elsewhere(name: str) -> None:
    with pytest.raises(NotFoundError):
        api_path("api", "v1", "namespaces", "ours", "secrets", name)
