"""What `ocis` and `opencloud` of our image answer to, without a server."""

import re

import pytest

from e2e.paths import REPO
from uploadpp import __main__, __version__, standin
from uploadpp.standin import FAILED, WRONG_USE, main

DOCKERFILE = (REPO / "Dockerfile").read_text()


@pytest.mark.parametrize("program", ["ocis", "/usr/bin/ocis", "opencloud"])
@pytest.mark.parametrize(
    "words",
    [
        ["server"],
        ["storage-users", "uploads", "sessions"],
        ["antivirus", "server"],
        ["init"],
        [],
        ["postprocessing"],
        ["postprocessing", "serve"],
    ],
    ids=" ".join,
)
def test_whatever_is_not_that_service_is_refused_with_the_value_that_is_wrong(
    program: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([program, *words]) == WRONG_USE
    said = capsys.readouterr().err
    assert f"not {program.rpartition('/')[2]}:" in said
    assert "services.postprocessing.image" in said


@pytest.mark.parametrize(
    "words",
    [["resume"], ["resume", "-s", "finished"], ["restart", "-u", "some-id"], ["resume", "--step=virusscan"]],
    ids=" ".join,
)
def test_who_would_resume_is_told_what_does_that_now(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ocis", "postprocessing", *words]) == FAILED
    assert "kubectl pp resume" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["version"], ["--version"], ["postprocessing", "version"]], ids=" ".join)
def test_its_version_says_what_it_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opencloud", *words]) == 0
    assert capsys.readouterr().out.startswith(
        f"upload-postprocessing {__version__}, standing in for opencloud"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["ocis", "postprocessing", "server"],
        ["ocis", "--config-path", "/etc/ocis", "postprocessing", "server"],
        ["ocis", "postprocessing", "server", "--log-level", "debug"],
        ["uploadpp", "postprocessing", "server"],
    ],
    ids=" ".join,
)
def test_options_of_the_service_are_accepted(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin, "_serve", lambda _: 7)
    assert main(words) == 7


def test_the_operators_own_program_stands_in_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the arguments of a container are given, the image's own entry point gets them."""
    monkeypatch.setattr(standin, "_serve", lambda _: 7)
    assert __main__.main(["postprocessing", "server"]) == 7


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", ":x", "[::1]:1", ":1"])
def test_health_of_nothing_is_bad(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ocis", "postprocessing", "health"], {"POSTPROCESSING_DEBUG_ADDR": address}) == FAILED
    assert address in capsys.readouterr().err


def test_the_image_has_both_programs_where_every_path_finds_them() -> None:
    copied = re.findall(r"^COPY operator/stand-in (\S+)$", DOCKERFILE, re.MULTILINE)
    assert copied == [f"/usr/bin/{program}" for program in standin.PROGRAMS]
    script = REPO / "operator" / "stand-in"
    assert script.stat().st_mode & 0o111 == 0o111
    assert script.read_text().startswith("#!/opt/uploadpp/bin/python ")
