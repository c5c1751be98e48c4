"""Text of others made harmless: nothing in it acts, hides or leaks, and what is ordinary stays as it is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.text import (
    ELLIPSIS,
    MAX_READ,
    clean,
    clean_lines,
    hide_credentials,
    redact,
)

FOREIGN = st.text(st.characters(exclude_categories=()), max_size=200)
WORDS = st.lists(st.sampled_from(["a", " ", "\n", '"', "@", ":", "/", "://", "eyJ", ".", "\x1b", "é"])).map(
    "".join
)
SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXJ5In0.c2lnbmF0dXJlLW9mLXRoZS1zdG9yYWdl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x9b31m \x85 \x7f \x00 \x08", "\\x9b31m \\x85 \\x7f \\x00 \\x08"),
        ("one\ntwo\r\nthree\tfour\x0b\x0c", "one\\ntwo\\r\\nthree\\tfour\\x0b\\x0c"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("\u2066a\u2069 \u200eb\u200f \u061cc", "\\u2066a\\u2069 \\u200eb\\u200f \\u061cc"),
        ("a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", "a\\u200bb\\u200cc\\u200dd\\u2060e\\ufefff\\xadg"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("half \ud83d", "half \\ud83d"),
        ("\ue000 \U000f0000 \u0378 \uffff \U0010ffff", "\\ue000 \\U000f0000 \\u0378 \\uffff \\U0010ffff"),
        ("\U000e0068\U000e0069", "\\U000e0068\\U000e0069"),
        (
            "\u3164 \uffa0 \u115f \u2800 \u034f \U000e0100",
            "\\u3164 \\uffa0 \\u115f \\u2800 \\u034f \\U000e0100",
        ),
        ("z\u0301\u0302\u0303\u0304\u0305\u0306", "z\u0301\u0302\u0303\u0304\\u0305\\u0306"),
        ("\u0301a", "\\u0301a"),
        ("x\ufe0f", "x\\ufe0f"),
        ("\ufe0fx", "\\ufe0fx"),
    ],
    ids=[
        "colours",
        "controls",
        "lines",
        "reversed",
        "directions",
        "no width",
        "separators",
        "half a pair",
        "private and unassigned",
        "tags",
        "blanks",
        "too many marks",
        "mark first",
        "variant",
        "variant first",
    ],
)
def test_what_could_act_or_hide_is_shown(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "report 2026.pdf",
        "C:\\new folder\\table",
        "größe, naïve, Việt Nam, e\u0301",
        "日本語\u3000の資料.docx",
        "שָׁלוֹם عربي हिन्दी ภาษาไทย",
        "😀 ☀\ufe0f ❤\ufe0f.png",
        "at 10\u202fAM",
    ],
    ids=["ascii", "path", "latin", "japanese", "other scripts", "emoji", "narrow space"],
)
def test_ordinary_names_stay_as_they_are(text: str) -> None:
    assert clean(text) == text


@given(FOREIGN, st.integers(1, 80))
def test_clean_text_is_one_bounded_line_in_which_nothing_acts(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert all(char.isprintable() or unicodedata.category(char) == "Zs" for char in shown)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert clean(shown, limit) == shown
    if not text.isprintable():
        assert shown != text or any(unicodedata.category(char) == "Zs" for char in text)


def test_a_longer_text_ends_in_an_ellipsis() -> None:
    assert clean("abcdef", 5) == "abcd" + ELLIPSIS
    assert clean("abc\n\n", 5) == "abc\\" + ELLIPSIS


@pytest.mark.parametrize(
    ("text", "shown"),
    [("abcd", "abcd"), ("abcde", "abcde"), ("äbcde", "äbcde"), ("äbcdef", "äbcd" + ELLIPSIS)],
    ids=["shorter", "exact", "exact, not ascii", "longer"],
)
def test_a_text_that_fits_is_not_cut(text: str, shown: str) -> None:
    assert clean(text, 5) == shown


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\xad", "\\xad"),
        ("\u0378", "\\u0378"),
        ("\uffff", "\\uffff"),
        ("\U00010000", "\U00010000"),
        ("\U0001ffff", "\\U0001ffff"),
    ],
    ids=["two digits", "four digits", "last of four", "a letter", "eight digits"],
)
def test_an_escape_has_as_many_digits_as_python_reads(char: str, shown: str) -> None:
    assert clean(char) == shown
    assert shown.encode("ascii", "backslashreplace").decode("unicode_escape") == char


def test_as_many_lines_as_allowed_are_all_shown() -> None:
    assert clean_lines("1\n2\n3\n4", 4) == "1\n2\n3\n4"
    whole = "\n".join("x" * 200)
    assert clean_lines(whole) == whole
    assert clean_lines(whole + "\nx").count("\n") == 200
    assert f"{ELLIPSIS} 1 lines left out" in clean_lines(whole + "\nx")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://gw.test/data/abc refused", "GET <url> refused"),
        (f"token {SECRET} refused", "token <url> refused"),
        ("no address: a/b", "no address: a/b"),
        (f"{SECRET} for https://gw.test/a", "<url> for <url>"),
    ],
    ids=["url", "token", "neither", "both"],
)
def test_a_redacted_text_says_where_a_secret_stood_and_keeps_the_rest(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("> Authorization: Basic bWFyeTpodW50ZXIy", "> Authorization: Basic <removed>"),
        ("authorization: bearer hunter2 refused", "authorization: bearer <removed>"),
        ("Authorization: AWS4 Credential=a, Signature=b", "Authorization: <removed>"),
        ('{"Authorization": "Basic xx yy", "n": 1}', '{"Authorization": <removed>, "n": 1}'),
        ("Set-Cookie: a=b; path=/", "Set-Cookie: <removed>"),
        ("HTTPS_PROXY=mary:hunter2@proxy:3128", "HTTPS_PROXY=<removed>@proxy:3128"),
        ("header b'Bearer hunter2' is invalid", "header b'Bearer <removed>' is invalid"),
        pytest.param('{"password": "a\\"b c"}', '{"password": <removed>}', id="an escaped quotation mark"),
        ("password=b'hunter2', n=1", "password=<removed>, n=1"),
        ("password=SecretStr('a b') n=1", "password=<removed> n=1"),
        ('password => "x"', "password => <removed>"),
        ("password := x", "password := <removed>"),
        ("password=a,b;c d", "password=<removed> d"),
        ("password=;a", "password=<removed>"),
        ("password=--a", "password=<removed>"),
        ("password:      a", "password:      <removed>"),
        ("password%3Da b", "password%3D<removed> b"),
        ("<password>a</password>", "<password><removed>"),
        ("spring.datasource.password: a", "spring.datasource.password: <removed>"),
        (
            "Command '['av', '--password', 'a b', '-q']' failed",
            "Command '['av', '--password', <removed>, '-q']' failed",
        ),
        ("scan -token hunter2", "scan -token <removed>"),
        ("mysql: DB_PASSWORD=hunter2 is wrong", "mysql: DB_PASSWORD=<removed> is wrong"),
        ("passwd = 'hunter2 and more', exit 1", "passwd = <removed>, exit 1"),
        ('{"api-key": "hunter2", "n": 1}', '{"api-key": <removed>, "n": 1}'),
        pytest.param('"{\\"token\\": \\"hunter2\\"}"', '"{\\"token\\": <removed>}"', id="json in json"),
        ("scan --client-secret hunter2 --fast", "scan --client-secret <removed> --fast"),
        ("PWD: a, credentials: b", "PWD: <removed>, credentials: <removed>"),
        (f"nkey {'SUA' + 'B' * 55} refused", "nkey <removed> refused"),
        ("DB_PASS=hunter2 is wrong", "DB_PASS=<removed> is wrong"),
        ("smtp-pass: hunter2", "smtp-pass: <removed>"),
        ("pass=hunter2&pw=hunter3", "pass=<removed>"),
        ("user=bob, pw = 'a b'", "user=bob, pw = <removed>"),
        ("scan --pass hunter2 -pw hunter3 --fast", "scan --pass <removed> -pw <removed> --fast"),
        ('{"pass": "hunter2", "n": 1}', '{"pass": <removed>, "n": 1}'),
        ("{'pw': 'hunter2'}", "{'pw': <removed>}"),
        pytest.param('"{\\"pass\\": \\"a b\\"}"', '"{\\"pass\\": <removed>}"', id="pass: json in json"),
        ("private_key=abc, privateKey: abc", "private_key=<removed>, privateKey: <removed>"),
        ("sig=abc%3D; Signature = abc", "sig=<removed>; Signature = <removed>"),
        ("> X-Auth-Key: abc", "> X-Auth-Key: <removed>"),
        ("AccountKey=abc== refused", "AccountKey=<removed> refused"),
        ("curl -u bob:hunter2 -k", "curl -u bob:<removed> -k"),
        ("['curl', '-u', 'bob:a,b', '-k']", "['curl', '-u', 'bob:<removed>', '-k']"),
        ("--user=bob:1 --proxy-user bob:2", "--user=bob:<removed> --proxy-user bob:<removed>"),
        ("-U 1000:1000x", "-U 1000:<removed>"),
    ],
)
def test_what_programs_quote_of_their_secrets_is_removed(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "the password is wrong",
        "token expired: try again",
        "--token --verbose",
        "password=",
        "Win.Password.Stealer-1 FOUND",
        "passwords.xlsx: Win.Test.EICAR_HDB-1 FOUND",
        "/data/secret: Eicar-Signature FOUND",
        "basic authentication failed",
        "the bearer token is missing",
        "name: value; size = 3",
        f"SUMMARY {'SUA' + 'B' * 20}",
        "bypass=1, compass: north, pass_count=3, --pass-through all, passes=3",
        "pass: ok, PASS : report.pdf, FAIL: 1",
        "secrets.pass: Eicar FOUND",
        '{"signature": "Win.Test.EICAR_HDB-1"}',
        "Signature: Eicar; Eicar-Test-Signature: FOUND",
        "design=1, sigma=2, npw=3, primary_key=5",
        "docker run --user 1000:1000 -u 0:0",
        "sort -u file, --user bob, -update a:b, -u bob: refused",
    ],
)
def test_words_about_secrets_are_none(text: str) -> None:
    assert redact(text) == text


def test_a_redacted_text_is_as_long_as_its_caller_allows() -> None:
    assert redact("refused by the gateway", 8) == "refused" + ELLIPSIS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nats://mary:pw@nats:4222 refuses", "nats://<credentials>@nats:4222 refuses"),
        ("nats://@nats:4222", "nats://<credentials>@nats:4222"),
        ("nats://nats:4222 refuses", "nats://nats:4222 refuses"),
        ("mary@example.test wrote", "mary@example.test wrote"),
        ("a@b://nats:4222", "a@b://nats:4222"),
        (f"Bearer {SECRET} refused", "Bearer <token> refused"),
        ("HTTPS_PROXY=mary:pw@proxy:3128", "HTTPS_PROXY=<credentials>@proxy:3128"),
        ("'mary:p:@w@[::1]:4222', b", "'<credentials>@[::1]:4222', b"),
        (
            "localhost:5000/upp:1@sha256:ab, upp:1@sha256:ab",
            "localhost:5000/upp:1@sha256:ab, upp:1@sha256:ab",
        ),
        ("at 12:30 by mary: @nobody, bob@b", "at 12:30 by mary: @nobody, bob@b"),
    ],
    ids=["login", "empty", "none", "mail", "at sign first", "token", "no scheme", "odd", "image", "words"],
)
def test_of_an_address_only_the_login_is_hidden(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown


class TestTheCut:
    """A secret may be known by its end alone, which nobody reads behind the cut."""

    @pytest.mark.parametrize(
        ("text", "read", "shown"),
        [
            ("to nats://mary:password@nats", 22, "to nats://" + ELLIPSIS),
            ("to a(nats://mary:password@nats", 24, "to a(nats://" + ELLIPSIS),
            ("nats://mary:password@nats", 16, "nats://" + ELLIPSIS),
            ("to mary:password@nats", 12, "to mary:" + ELLIPSIS),
            ("to mary:pass:word@nats", 14, "to mary:" + ELLIPSIS),
            ("by eyJhbGciOiJIUzI1NiJ9", 9, "by " + ELLIPSIS),
            ("by token=eyJhbGciOiJIUzI1NiJ9", 15, "by token=" + ELLIPSIS),
            ("eyJhbGciOiJIUzI1NiJ9", 6, ELLIPSIS),
            ("xeyJaeyJbGciOiJIUzI1NiJ9", 9, "x" + ELLIPSIS),
        ],
        ids=[
            "login",
            "in brackets",
            "first word",
            "no scheme",
            "colon in it",
            "token",
            "named token",
            "token alone",
            "twice",
        ],
    )
    def test_takes_the_beginning_of_a_secret_with_it(self, text: str, read: int, shown: str) -> None:
        assert hide_credentials(text, read) == shown

    @pytest.mark.parametrize(
        ("text", "read", "shown"),
        [
            ("one two three", 9, "one two t" + ELLIPSIS),
            ("one two three", 8, "one two " + ELLIPSIS),
            ("nats://a b c", 9, "nats://a " + ELLIPSIS),
            ("see nats://a b c", 14, "see nats://a b" + ELLIPSIS),
            ("one two", 7, "one two"),
            ("one two", 0, ELLIPSIS),
            ("", 0, ""),
        ],
        ids=["in a word", "behind a word", "address is whole", "word behind it", "fits", "nothing", "empty"],
    )
    def test_leaves_what_is_no_secret(self, text: str, read: int, shown: str) -> None:
        assert hide_credentials(text, read) == shown


def test_the_middle_of_very_many_lines_is_left_out() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    assert clean_lines(text, 4) == f"line 0\nline 1\n{ELLIPSIS} 96 lines left out\nline 98\nline 99"
    assert clean_lines("one\r\ntwo\x1b") == "one\\r\ntwo\\x1b"


@given(WORDS, WORDS, st.integers(0, 2))
def test_a_token_never_survives(before: str, after: str, at: int) -> None:
    """Also where a text is cut: `at` moves it across."""
    text = before + " " * (at and MAX_READ - len(before) - at * 20) + SECRET + after
    for shown in (redact(text, MAX_READ), hide_credentials(text)):
        assert not leaks(shown, SECRET)


@given(st.integers(MAX_READ - 150, MAX_READ + 5), st.sampled_from([" ", "(", '"', "=", "a"]))
def test_what_straddles_the_cut_does_not_leak(length: int, before: str) -> None:
    padding = ("word " * MAX_READ)[: length - 1] + before
    for secret in (f"https://gw.test/data/{SECRET}", f"nats://mary:{SECRET}@nats:4222", SECRET):
        assert not leaks(redact(padding + secret, MAX_READ + 10), SECRET)
        assert not leaks(hide_credentials(padding + secret), SECRET)


@pytest.mark.parametrize(
    "scheme",
    ["https://", "http://", "https:\\/\\/", "https%3A%2F%2F", "HTTPS%3a%2f%2f", "s3://"],
    ids=["https", "http", "json", "inside a url", "inside a url, small", "s3"],
)
@given(WORDS, WORDS)
def test_a_url_never_survives(scheme: str, before: str, after: str) -> None:
    secret = "opaque-credential-of-the-storage"
    assert secret not in redact(f"{before}{scheme}gw.test/data/{secret}{after}", MAX_READ)


@given(WORDS, st.sampled_from(["p@ss/word", "a:b@c", "x://y", "eyJ", "p%40?#", "[::1]@"]))
def test_a_login_never_survives_a_log(before: str, part: str) -> None:
    password = f"s3cr3t{part}hunter2"
    shown = hide_credentials(f"{before}nats://mary:{password}@nats:4222 refused", MAX_READ)
    assert "s3cr3t" not in shown
    assert "hunter2" not in shown
    assert "@nats:4222 refused" in shown


def leaks(shown: str, secret: str) -> bool:
    """Whether more of the secret is shown than its beginning, which all tokens share."""
    return any(secret[at : at + 12] in shown for at in range(len(secret) - 12))


def test_of_a_long_text_so_much_is_shown_and_so_much_is_read() -> None:
    assert len(clean("x" * 2_000)) == 1_024
    assert hide_credentials("x" * 9_000) == "x" * 4_096 + ELLIPSIS
