"""Which URLs may be downloaded from: what looks alike and leads elsewhere is refused."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from uploadpp.process.configuration import ConfigurationError, read_model
from uploadpp.steps.options import ServiceOptions
from uploadpp.storage.sources import Source, SourceError, check_source, read_url, redirected

SOURCES = (Source.parse("https://storage.test:9200/data/"), Source.parse("http://[::1]:8080"))


@pytest.mark.parametrize(
    "url",
    [
        "https://storage.test:9200/data/eyJ.abc-_~.x",
        "https://STORAGE.test:9200/data/x",
        "HTTPS://storage.test:9200/data/x?a=b/../c",
        "https://storage.test:9200/data/%61%20b",
        "https://storage.test:9200/data",
        "http://[0:0:0:0:0:0:0:1]:8080/anything/x",
        "http://[::1]:8080",
    ],
)
def test_what_begins_like_a_source_is_allowed(url: str) -> None:
    check_source(read_url(url), SOURCES)


@pytest.mark.parametrize(
    "url",
    [
        "http://storage.test:9200/data/x",  # another scheme
        "https://storage.test/data/x",  # another port
        "https://storage.test:443/data/x",
        "https://storage.test.:9200/data/x",  # another name for the resolver
        "https://storage.test.evil.test:9200/data/x",
        "https://evil.test:9200/https://storage.test:9200/data/x",
        "https://evil.test:9200/data/x#@storage.test:9200/data/",
        "https://evil.test:9200?@storage.test:9200/data/",
        "https://storage.test:9200@evil.test:9200/data/x",
        "https://storage.test%3A9200@evil.test/data/x",
        "https://user:password@storage.test:9200/data/x",
        "https://user@storage.test:9200/data/x",
        "https://storage.test:9200/database/x",  # only whole segments count
        "https://storage.test:9200/data/../admin",
        "https://storage.test:9200/data/%2e%2e/admin",
        "https://storage.test:9200/data/.%2e/admin",
        "https://storage.test:9200/data/%252e%252e/admin",
        "https://storage.test:9200/data%2f..%2fadmin",
        "https://storage.test:9200/data/..%2fadmin",
        "https://storage.test:9200/data/..%5cadmin",
        "https://storage.test:9200/data\\..\\admin",
        "https://storage.test:9200/data/%25252f..%25252fadmin",
        "https://storage.test:9200//data/x",
        "https://storage.test:9200/data//x",
        "https://storage.test:9200/Data/x",  # paths tell large letters from small
        "https://\uff53torage.test:9200/other/x",
        "https://st\u043erage.test:9200/data/x",  # a Cyrillic letter
        "https://storage\u3002evil.test:9200/data/x",
        "https://storage.test:9200\t@evil.test/data/x",
        "https://storage.test:9200/data/\n../x",
        "https:/\\storage.test:9200/data/x",
        "https:///storage.test:9200/data/x",
        "//storage.test:9200/data/x",
        "storage.test:9200/data/x",
        "http://[::2]:8080/x",
        "http://[::ffff:127.0.0.1]:8080/x",
        "http://2130706433:8080/x",
        "http://0x7f.1:8080/x",
        "http://localhost:8080/x",
        "http://[::1]:0/x",
        "http://[::1]:99999/x",
        "http://[::1",
        "http://..]..[@",  # an IndexError of the library
        "http://]x[",
        "file:///etc/passwd",
        "ftp://storage.test:9200/data/x",
        "ws://storage.test:9200/data/x",
        "",
    ],
)
def test_everything_else_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(SourceError) as raised:
        check_source(read_url(url), SOURCES)
    assert "storage" not in str(raised.value)
    assert "evil" not in str(raised.value)


PARTS = [
    *"[]:/@%?#.\\~ß\u0661\u3002",
    "http",
    "//",
    "::1",
    "fe80::1%25eth0",
    "%2f",
    "%00",
    "..",
    "65536",
    "v1.x",
]


@example(text="..]..[@", prefixed=True)
@given(text=st.lists(st.sampled_from(PARTS), max_size=9).map("".join), prefixed=st.booleans())
def test_whatever_is_said_to_be_a_url_is_read_or_refused(*, text: str, prefixed: bool) -> None:
    url = f"http://{text}" if prefixed else text
    with suppress(SourceError):
        check_source(read_url(url), SOURCES)
    with suppress(SourceError):
        redirected(URL("https://storage.test:9200/data/x"), url)


def test_without_sources_everywhere_is_allowed() -> None:
    check_source(read_url("http://10.0.0.1/x/../y"), ())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("storage.test", "neither http nor https"),
        ("https://", "cannot be read|no host"),
        ("https://user@storage.test/", "a user or a password"),
        ("https://storage.test/?a=b", "a query or a fragment"),
        ("https://storage.test/a/%2f/", "an encoded slash"),
        ("https://good.test/,ftp://x.test/", "neither http nor https"),
        (",", "has commas and no prefix"),
        (" , , ", "has commas and no prefix"),
    ],
)
def test_a_prefix_that_cannot_be_used_says_why(value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"UPLOADPP_STEP_DOWNLOAD_FROM=.*({problem})"):
        read_model(ServiceOptions, {}, {"UPLOADPP_STEP_DOWNLOAD_FROM": value})


@pytest.mark.parametrize("value", ["0", "-1", "much"])
def test_a_size_that_cannot_be_used_says_so(value: str) -> None:
    with pytest.raises(ConfigurationError, match="UPLOADPP_STEP_MAX_SIZE="):
        read_model(ServiceOptions, {}, {"UPLOADPP_STEP_MAX_SIZE": value})


def test_several_can_be_given() -> None:
    options = read_model(
        ServiceOptions, {"download_from": ["https://a.test/x, http://b.test", "https://c.test"]}, {}
    )
    assert [source.host for source in options.download_from] == ["a.test", "b.test", "c.test"]
    assert options.download_from[1].port == 80
