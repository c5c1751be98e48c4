"""The rules of the step `policies`."""

import json
from pathlib import Path

import filetype
import pytest

from tests.hostile import MOST, slowdown
from uploadpp.core.states import Outcome
from uploadpp.process.configuration import ConfigurationError
from uploadpp.steps import Abort, Continue, Delete, Upload, User, Verdict
from uploadpp.steps.mime import mime_of
from uploadpp.steps.policies import Policies, PoliciesOptions
from uploadpp.steps.rules import OTHER_NAMES, RuleError, Rules, parse_rule, read_rules
from uploadpp.steps.sizes import parse_size

_FOUND = {each.mime for each in filetype.TYPES}
MARY = User(id="0a1b", username="Mary", mail="mary@example.test")


@pytest.mark.parametrize(
    ("rule", "filename", "size", "matches"),
    [
        ("delete extension=exe,bat", "setup.EXE", 1, True),
        ("delete extension=.exe", "setup.exe", 1, True),
        ("delete extension=exe", "setup.exe. .", 1, True),
        ("delete extension=exe", "setup.exe.txt", 1, False),
        ("delete extension=exe", "exe", 1, False),
        ("delete extension=exe,bat", ".EXE", 1, True),
        ("delete extension=exe,bat", "..bat. ", 1, True),
        ("delete extension=tar.gz", "a.tar.gz", 1, True),
        ("delete extension=tar.gz", "a.gz", 1, False),
        ("delete extension=gz", "a.tar.gz", 1, True),
        ("delete name=*.tmp,~$*", "~$report.docx", 1, True),
        ("delete name=thumbs.db", "Thumbs.db", 1, True),
        ("delete name=*.tmp", "a.txt", 1, False),
        ("delete name=*gesch\u00e4ft*", "Gescha\u0308ft.txt", 1, True),  # as macOS writes it
        ("delete name=*gescha\u0308ft*", "GESCH\u00c4FT.txt", 1, True),
        ("delete extension=\u00fc", "a.u\u0308", 1, True),
        ("delete larger-than=1k", "a", 1024, False),
        ("delete larger-than=1k", "a", 1025, True),
        ("delete smaller-than=10", "a", 9, True),
        ("delete smaller-than=10", "a", 10, False),
        ("delete user=mary", "a", 1, True),
        ("delete user=0A1B", "a", 1, True),
        ("delete user=*@example.test", "a", 1, True),
        ("delete user=paul", "a", 1, False),
        ("delete extension=exe user=paul", "a.exe", 1, False),
        ("delete extension=exe larger-than=0", "a.exe", 1, True),
        ("delete extension=*.exe", "a.exe", 1, True),
        ("delete 'extension= .exe. '", "a.exe", 1, True),
    ],
)
def test_what_a_rule_matches(rule: str, filename: str, size: int, *, matches: bool) -> None:
    upload = Upload.of(b"x" * size, filename, MARY)
    assert parse_rule(rule).matches(upload, "") is matches


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("", "empty"),
        ("delete", "needs a condition"),
        ("delete message=x", "needs a condition"),
        ("refuse extension=exe", "outcome: .*'continue', 'retry', 'abort' or 'delete'"),
        ("retry extension=exe", "say the same again"),
        ("delete suffix=exe", "suffix: is not known; there are outcome"),
        ("delete extension", "not a condition such as"),
        ("delete larger-than=huge", "largerThan: 'huge' is not a size"),
        ("delete name='a", "No closing quotation"),
        ("delete extension=,", "extension is empty"),
        ("delete mime=,", "mime is empty"),
        ("delete extension=exe extension=bat", "extension is given twice; separate its values with commas"),
        ("delete larger-than=1M larger-than=2M", "larger-than is given twice"),
        ("delete larger-than=1.5", "'1.5' is not a size"),
        ("delete extension=e*", "'e\\*' is not one extension; .* use name for patterns"),
        ("delete mime=text", "'text' is not a type such as image/png"),
        ("delete mime='text/plain; charset=utf-8'", "is not a type such as image/png"),
    ],
)
def test_a_rule_that_cannot_be_used_says_why(rule: str, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        parse_rule(rule)


def test_a_file_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "default: delete\n"
        "rules:\n"
        "  - {outcome: delete, mime: [application/x-executable], message: no programs}\n"
        "  - outcome: continue\n"
        "    extension: pdf\n"
        "    smallerThan: 10MB\n"
    )
    rules = read_rules(path)
    assert rules.default is Outcome.DELETE
    assert rules.need_content
    assert rules.rules[1].extension == ("pdf",)
    assert rules.rules[1].smallerThan == 10_000_000
    path.write_text(json.dumps({"rules": [{"outcome": "abort", "user": "mary"}]}))
    assert read_rules(path).rules[0].matches(Upload.of(b"", user=MARY), "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: [", "is neither YAML nor JSON"),
        ("- a", "needs a list `rules`"),
        ("rule: []", "rule: is not known; there are rules, default"),
        ("default: retry", "default: a rule cannot say retry"),
        (
            "rules: [{outcome: delete, mime: [a], size: 3}]",
            r"rules\[0\].size: is not known; .*largerThan",
        ),
        ("rules: [{outcome: delete}]", r"rules\[0\]: a rule needs a condition"),
        ("1: 2", "1: is not known"),
        ("rules: [{outcome: delete, extension: []}]", r"rules\[0\]: extension is empty; give it a value"),
        ("rules: [{outcome: delete, user: [], name: a}]", r"rules\[0\]: user is empty"),
        ("rules: [{outcome: delete, largerThan: }]", r"rules\[0\]: largerThan is empty"),
        ('{"rules": [{"outcome": "delete", "smallerThan": null}]}', r"rules\[0\]: smallerThan is empty"),
        (
            "rules: [{outcome: delete, extension: }]",
            r"rules\[0\].extension: must be a list, or a single text",
        ),
        (
            "rules: [{outcome: delete, extension: 'exe,bat'}]",
            ".*'exe,bat' is not one extension; list several",
        ),
        ("rules: [{outcome: delete, largerThan: true}]", ".*'true' is not a size"),
        ("rules: [{outcome: delete, largerThan: !!bool true}]", ".*is not a size"),
        ("rules: [{outcome: delete, largerThan: 1:30}]", ".*'1:30' is not a size"),
        (
            "rules: [{outcome: delete, name: a, name: b}]",
            "is neither YAML nor JSON: 'name' stands there twice",
        ),
        ("rules: [delete]", r"rules\[0\]: must be a rule such as"),
        ("rules: [{outcome: 2024-13-45}]", r"rules\[0\].outcome: should be"),
        ("rules: [{outcome: !!timestamp 2024-13-45}]", "is neither YAML nor JSON: month must be"),
        pytest.param("rules: " + "[" * 500, "is nested too deeply", id="nested"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RuleError, match=f"{path}: {problem}"):
        read_rules(path)
    with pytest.raises(RuleError, match="No such file"):
        read_rules(tmp_path / "none")


def test_words_of_a_file_are_what_is_written(tmp_path: Path) -> None:
    """YAML makes other things of them: false, the numbers 1 and 8, and a tenth of 10."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules: [{outcome: abort, extension: [no, 001, 1.0], name: [2024, on], largerThan: 010}]\n"
    )
    (rule,) = read_rules(path).rules
    assert (rule.extension, rule.name, rule.largerThan) == (("no", "001", "1.0"), ("2024", "on"), 10)
    path.write_text("rules: [&a {outcome: abort, name: x}, {<<: *a, extension: ''}]\n")
    assert read_rules(path).rules[1].name == ("x",)


@pytest.mark.parametrize("ours", sorted(OTHER_NAMES))
def test_a_type_may_have_the_name_that_other_programs_give_it(ours: str) -> None:
    for other in OTHER_NAMES[ours]:
        assert parse_rule(f"delete mime={other.upper()}").matches(Upload.of(b""), ours)
        assert other not in _FOUND, "the step itself finds that"


async def test_the_first_rule_that_matches_counts() -> None:
    rules = [parse_rule("continue user=mary"), parse_rule("delete extension=exe message='not here'")]
    policies = Policies(Rules(rules=tuple(rules)))
    assert isinstance(await policies.check(Upload.of(b"", "a.exe", MARY)), Continue)
    refused = await policies.check(Upload.of(b"", "a.exe"))
    assert isinstance(refused, Delete)
    assert refused.message == "not here"
    assert isinstance(await policies.check(Upload.of(b"", "a.pdf")), Continue)


@pytest.mark.parametrize(
    ("rule", "size", "kind"),
    [
        ("delete larger-than=1k", 300_000, Delete),
        ("delete larger-than=1k", 1024, Continue),
        ("delete smaller-than=1", 300_000, Continue),
        ("delete smaller-than=1", 0, Delete),
        ("delete larger-than=0 extension=pdf", 1, Delete),
    ],
)
async def test_bytes_are_counted_where_no_size_is_announced(
    rule: str, size: int, kind: type[Verdict]
) -> None:
    upload = Upload.of(b"x" * size, "a.pdf", size=0)
    assert type(await Policies(Rules(rules=(parse_rule(rule),))).check(upload)) is kind


async def test_only_what_is_allowed() -> None:
    policies = Policies(Rules(rules=(parse_rule("continue mime=image/*"),), default=Outcome.DELETE))
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    assert isinstance(await policies.check(Upload.of(png, "a.exe")), Continue)
    refused = await policies.check(Upload.of(b"MZ" + bytes(100), "a.png"))
    assert isinstance(refused, Delete)
    assert refused.message == "no rule allows it"
    untold = await Policies(Rules(rules=(parse_rule("delete mime=text/*"),))).check(Upload.of(b"hello"))
    assert untold.message == "a rule forbids mime text/*"


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"", "text/plain"),
        (b"hello\n", "text/plain"),
        ("gr\u00fc\u00dfe".encode() * 2000, "text/plain"),
        ("gr\u00fc\u00dfe".encode("latin-1"), "text/plain"),
        (b"a\0b", "application/octet-stream"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"MZ\x90\0" + bytes(60), "application/x-msdownload"),
        (b"\x7fELF\x02\x01\x01" + bytes(60), "application/x-executable"),
        (b"PK\x03\x04" + bytes(60), "application/zip"),
        (b"#!/bin/sh\n", "text/x-script"),
        (b"  <!DOCTYPE html><p>", "text/html"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><svg>', "image/svg+xml"),
        (b'<?xml version="1.0"?><a/>', "text/xml"),
    ],
)
def test_what_a_file_is(head: bytes, mime: str) -> None:
    assert mime_of(head[:8192]) == mime


@pytest.mark.parametrize(
    ("content", "rule", "outcome"),
    [
        (b"\x01\x02\x03\0", "delete mime=*", Outcome.CONTINUE),
        (b"\x01\x02\x03\0", "delete mime=application/*", Outcome.CONTINUE),
        (b"\x01\x02\x03\0", "abort mime=application/*", Outcome.ABORT),
        (b"\x01\x02\x03\0", "delete mime=application/octet-stream", Outcome.DELETE),
        (b"PK\x03\x04" + bytes(60), "delete mime=application/zip", Outcome.CONTINUE),
        (b"PK\x03\x04" + bytes(60), "abort mime=application/zip", Outcome.ABORT),
    ],
)
async def test_what_is_not_known_for_sure_is_not_deleted(content: bytes, rule: str, outcome: Outcome) -> None:
    policies = Policies(Rules(rules=(parse_rule(rule),)))
    assert (await policies.check(Upload.of(content))).outcome is outcome


async def test_nor_is_it_by_default() -> None:
    policies = Policies(Rules(rules=(parse_rule("continue mime=image/*"),), default=Outcome.DELETE))
    assert isinstance(await policies.check(Upload.of(b"\x01\x02\0")), Abort)
    assert isinstance(await policies.check(Upload.of(b"hello")), Delete)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("25M", 25 << 20), ("25MiB", 25 << 20), ("100MB", 100_000_000), ("1.5k", 1536)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "10 parsecs", "1e3", "M"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    "text", ["9" * 400 + "T", "9" * 5000, "9223372036854775808", "8388608T", "1" * 60 + "G"]
)
def test_no_size_is_beyond_what_a_file_has(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size|more than any file has"):
        parse_size(text)


def test_sizes_are_exact() -> None:
    assert parse_size("9223372036854775807") == 2**63 - 1
    assert parse_size("1.1k") == 1126


@pytest.mark.parametrize("rule", ["x" * 100_000, "delete a\x1b[2J=b", "'", "delete mime="])
def test_a_rule_that_cannot_be_used_is_said_in_short_with_its_source(rule: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--rule or UPLOADPP_STEP_RULES: ") as error:
        PoliciesOptions(rule=(rule,)).rules()
    assert len(str(error.value)) < 2000
    assert str(error.value).isprintable()
    with pytest.raises(ConfigurationError, match=r"^--rules-file or UPLOADPP_STEP_RULES_FILE: /nowhere"):
        PoliciesOptions(rules_file=Path("/nowhere")).rules()


@pytest.mark.parametrize(
    "part", ["\u0301\u0316", "\u0315\u0300\u05ae", "a\u0316\u0301", "\u1100\u1161", "*", "."]
)
def test_s1_a_name_of_any_length_is_matched_in_time_that_grows_with_it(part: str) -> None:
    """Whoever may publish can make it a megabyte long. Sorting the marks on one letter took minutes."""
    name = part * (500_000 // len(part)) + ".exe"
    user = User(id=name, username=name, mail=name)
    rules = [parse_rule(f"delete {each}") for each in ("extension=exe", "name=*x*e", "user=*x*y")]
    upload = Upload.of(b"x", name, user)

    def match(_: str) -> None:
        assert [rule.matches(upload, "") for rule in rules] == [True, True, False]

    assert slowdown(match, name) < MOST


def test_the_case_of_an_outcome_does_not_count() -> None:
    assert parse_rule("Delete extension=exe").outcome is Outcome.DELETE
    with pytest.raises(RuleError, match="a rule cannot say retry"):
        parse_rule("RETRY extension=exe")
