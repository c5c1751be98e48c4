"""What a report may not tell."""

import base64
import gzip
import json
import time
from collections.abc import Mapping

import pytest

from kubectl_pp import redaction as redaction_module
from kubectl_pp.redaction import POD_KEYS, UPLOAD_KEYS, Redaction, replaced, without_keys
from kubectl_pp.verbs.report import release_of_chart
from uploadpp.core.text import REMOVED

PLAIN = "pl4inSecret"
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
"""That of the documentation of NATS."""


def redacted(value: object, key: str = "", *, with_names: bool = False) -> str:
    return json.dumps(Redaction(with_names=with_names).value(value, key))


@pytest.mark.parametrize(
    "text",
    [
        f"password={PLAIN}",
        f"Password: {PLAIN}",
        f'{{"password": "{PLAIN}"}}',
        f'said {{\\"password\\": \\"{PLAIN}\\"}}',
        f'passphrase="two words {PLAIN}"',
        f"secret = '{PLAIN} and more'",
        f"Authorization: Bearer {PLAIN}",
        f"authorization: Basic {PLAIN}",
        f"Authorization: Token  {PLAIN}",
        f"DATABASE_DSN={PLAIN}",
        f"X-Api-Key: {PLAIN}",
        f"--nats-token={PLAIN}",
        f"nats://operator:{PLAIN}@nats:4222",
        f"https://storage/data?signature={PLAIN}",
        f"/data/upload?X-Amz-Signature={PLAIN}",
        f"-----BEGIN PRIVATE KEY-----\n{PLAIN}\n-----END PRIVATE KEY-----",
        f"-----BEGIN EC PRIVATE KEY-----\n{PLAIN}",
    ],
)
@pytest.mark.parametrize("with_names", [False, True])
def test_secrets_in_free_text(text: str, *, with_names: bool) -> None:
    redaction = Redaction(with_names=with_names)
    assert PLAIN not in redaction.text(text)
    assert PLAIN not in redacted({"message": [text]}, with_names=with_names)


@pytest.mark.parametrize(
    "text",
    [
        SEED,
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJl",
        "UExBTlRFRAplantedKEY0123456789abcdefABCDEF0123456789==",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a1234",
    ],
)
def test_words_that_are_secrets(text: str) -> None:
    assert text not in Redaction(with_names=True).text(f"said {text}, and went on")


@pytest.mark.parametrize(
    "text",
    [
        "upload 7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11 waits for virusscan",
        "image@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "upp:1.2@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "the event loop has been blocked for 2.1 s",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert Redaction(with_names=False).text(text) == text


@pytest.mark.parametrize(
    "value",
    [
        {"nats": {"auth": {"token": {"value": PLAIN}}}},
        {"nats": {"auth": {"token": PLAIN}}},
        {"password": PLAIN},
        {"password": {"value": [PLAIN]}},
        {"api_key": PLAIN},
        {"encryptionKey": PLAIN},
        {"APIKey": PLAIN},
        {"smtpPass": PLAIN},
        {"downloadURL": PLAIN},
        {"extraEnv": [{"name": "SOME_PASSWORD", "value": PLAIN}]},
        {"extraEnv": [{"name": "DATABASE_DSN", "value": PLAIN}]},
        {"env": {"S3_ACCESS_KEY": PLAIN}},
        {"extraEnv": [{"name": "HTTPS_PROXY", "value": f"mary:{PLAIN}@proxy:3128"}]},
        {"extraEnv": [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "value": f"x-team={PLAIN}"}]},
        {"extraArgs": [f"--events-endpoint=mary:{PLAIN}@nats:4222"]},
        {"nats": {"endpoints": [f"mary:{PLAIN}@nats:4222"]}},
        {"args": ["scan", "--password", PLAIN]},
        {"secretRef": {"name": "fine", "password": PLAIN}},
        {"headers": {"Set-Cookie": PLAIN}},
    ],
    ids=str,
)
def test_secrets_under_their_keys(value: object) -> None:
    assert PLAIN not in redacted(value)


@pytest.mark.parametrize(
    "value",
    [
        {"auth": {"token": {"existingSecret": "nats-login"}}},
        {"valueFrom": {"secretKeyRef": {"name": "nats-login", "key": "password", "optional": True}}},
        {"volumes": [{"name": "tls", "secret": {"secretName": "nats-login"}}]},
        {"automountServiceAccountToken": True},
        {"retryPolicy": {"maxRetries": 3}, "steps": [{"name": "virusscan"}]},
        {"affinity": {"topologyKey": "zone"}},
        {"password": "", "tokens": None},
    ],
    ids=str,
)
def test_where_a_secret_is_kept_stays(value: object) -> None:
    assert json.loads(redacted(value)) == value


def test_what_is_fine_depends_on_where_it_comes_from() -> None:
    redaction = Redaction(with_names=False)
    restart = {"restart": {"token": "2026-11-01T10:00:00Z"}}
    assert redaction.value(restart, harmless=UPLOAD_KEYS) == restart
    assert redaction.value(restart) == {"restart": {"token": REMOVED}}
    probe = {"httpGet": {"path": "/readyz"}}
    assert redaction.value(probe, harmless=POD_KEYS) == probe
    assert "offer.pdf" not in str(redaction.value({"path": "/home/offer.pdf"}))


def test_names_are_replaced_by_the_same_word_wherever_they_stand() -> None:
    redaction = Redaction(with_names=False)
    upload = {"filename": "Offer for Miller.pdf", "userID": "Miller", "spaceID": "a.b"}
    redaction.learn({"spec": {"upload": upload}})
    shown = redaction.value({"spec": {"upload": upload}})
    assert isinstance(shown, dict)
    name, user = shown["spec"]["upload"]["filename"], shown["spec"]["upload"]["userID"]
    assert redaction.text("Miller opened 'Offer for Miller.pdf'") == f"{user} opened '{name}'"
    assert redaction.text("GET /data/Offer%20for%20Miller.pdf") == f"GET /data/{name}"
    assert redaction.text("Millers, and axb") == "Millers, and axb"
    assert redaction.text("write to miller@planted.example.") == "write to <mail>."
    other = Redaction(with_names=False)
    other.learn({"spec": {"upload": upload}})
    assert other.text("Miller") != user, "without the salt nobody can try which name it was"


def test_the_names_of_very_many_uploads_are_found_and_take_no_time() -> None:
    """Many begin alike, and not all of them fit into the report."""
    redaction = Redaction(with_names=False)
    for number in range(50_000):
        redaction.remember("filename", f"IMG_{number:05d} (Miller).jpg")
    assert redaction.has_room
    text = "IMG_49999 (Miller).jpg failed, IMG_49999 (Miller).jpgx not, IMG_00000%20%28Miller%29.jpg too. "
    started = time.process_time()
    shown = redaction.text(text * 20)
    assert time.process_time() - started < 10
    assert shown.count("<filename ") == 40
    assert shown.count("IMG_49999 (Miller).jpgx") == 20
    assert "IMG_00000" not in shown


def test_what_is_too_much_to_be_looked_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction_module, "MAX_NAMES", 2)
    redaction = Redaction(with_names=False)
    for name in ("first", "second"):
        redaction.remember("userID", name)
    redaction.remember("userID", "second")
    rooms = [redaction.has_room]
    redaction.remember("userID", "third")
    assert [*rooms, redaction.has_room] == [True, False]
    assert "first" not in redaction.text("first third")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("(a b), a b", "a b", "(*), *"),
        ("xa b a b", "a b", "xa b *"),
        ("abab", "ab", "abab"),
        ("xa a a", "a a", "xa *"),
    ],
)
def test_a_name_within_a_longer_word_stays(text: str, name: str, expected: str) -> None:
    assert replaced(text, name, "*") == expected


@pytest.mark.parametrize("upload", [None, "text", {"filename": 7}, {"filename": ""}, {"filename": "\x1b\n"}])
def test_resources_of_any_form_are_learned_from(upload: object) -> None:
    redaction = Redaction(with_names=False)
    redaction.learn({"spec": {"upload": upload}})
    redaction.learn({"spec": None})
    assert redaction.text("it is fine") == "it is fine"


def test_a_key_goes_over_lines() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nfirst\nlast\n-----END PRIVATE KEY-----"
    assert without_keys(f"before\n{key}\nafter\n") == f"before\n{REMOVED}\nafter\n"
    assert without_keys("-----BEGIN X-----\nno end\n").endswith("no end\n"), "one line hides no whole log"


@pytest.mark.parametrize(
    "text", ["-a" * 99_000, "a." * 99_000, "eyJ" * 99_000, "password" * 9_000, "@a." * 99_000]
)
def test_hostile_lines_take_no_time(text: str) -> None:
    """Quadratic patterns would need minutes here."""
    started = time.process_time()
    Redaction(with_names=False).text(text)
    assert time.process_time() - started < 10


def release(chart: Mapping[str, object], config: object) -> dict[str, object]:
    content = json.dumps({"name": "pp", "config": config, "chart": {"metadata": chart}}).encode()
    packed = base64.b64encode(base64.b64encode(gzip.compress(content)))
    return {"data": {"release": packed.decode()}}


def test_the_values_of_a_release() -> None:
    own = {"name": "upload-postprocessing", "version": "1.2.3"}
    assert release_of_chart(release(own, None)) == {"name": "pp", "version": "1.2.3", "config": {}}
    config = {"postprocessing": {"steps": []}, "global": {"x": 1}, "other": {"password": "p"}}
    parent: dict[str, object] = {"name": "cloud", "version": "9"}
    assert release_of_chart(release(parent, config)) is None
    parent["dependencies"] = [{"name": "nats", "version": "2"}, {**own, "alias": "postprocessing"}]
    found = release_of_chart(release(parent, config))
    assert found is not None
    assert found["config"] == {"postprocessing": {"steps": []}, "global": {"x": 1}}
    assert found["within"] == "cloud"
