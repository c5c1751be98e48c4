"""Text of others on the way to a terminal and a shell: names, messages and errors may hold anything."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import Terminal
from tests.plugin.test_shells import BASH_COMPLETION, CLEAR, shell

pytestmark = pytest.mark.usefixtures("open_status")
HOSTILE = (
    "a\x1b]0;title\x07b\x9b31mc\u202etxt.exe\u2066d\x00e\tf\rg\nh\x7fi\u200bj\u2028k\u00adl\U000e0041m\ue000n\x1b[2Jo"
).replace("\x00", "")  # the API server refuses NUL
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ue000\U000e0000-\U000e007f]"
)
OWN_COLORS = re.compile("\x1b\\[(?:0|1|2|3[1236])m")


def put_hostile(writer: Writer) -> None:
    """A resource whose every text is hostile, as far as the API server takes it."""
    made = writer.put(at("upload-7", ago_minutes=5))
    name = made["metadata"]["name"]
    status = made["status"]
    status["message"] = status["currentStep"] = HOSTILE
    for step in status["steps"]:
        step |= {"message": HOSTILE, "outcome": HOSTILE, "reason": HOSTILE, "state": HOSTILE}
    for condition in status["conditions"]:
        condition["message"] = condition["reason"] = HOSTILE
    writer.set_status(name, status)
    spec = {"upload": {"id": f"id{HOSTILE}", "filename": HOSTILE, "userID": HOSTILE, "spaceID": HOSTILE}}
    body = {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "metadata": {"name": "by-hand"},
        "spec": spec,
    }
    writer.request("POST", writer.path, body)
    event = {
        "metadata": {"name": "told", "namespace": writer.namespace},
        "involvedObject": {"kind": made["kind"], "name": name, "namespace": writer.namespace},
        "message": HOSTILE,
        "reason": f"Told{HOSTILE}",
        "type": f"Warning{HOSTILE}",
    }
    writer.request("POST", f"/api/v1/namespaces/{writer.namespace}/events", event)


VERBS = (
    ["list"],
    ["list", "-o", "wide"],
    ["list", "-o", "name"],
    ["list", "-o", "yaml"],
    ["list", "-o", "json"],
    ["list", "--json"],
    ["status", "upload-7", "by-hand"],
    ["status", "upload-7", "--color=always"],
    ["stats"],
    ["events"],
    ["doctor"],
    ["suspend", "--all", "--yes", "--dry-run"],
    ["status", HOSTILE],
    [f"verb{HOSTILE}"],
    ["list", "-l", f"a={HOSTILE}"],
    ["list", "--context", HOSTILE],
    ["list", f"--kubeconfig=/nonexistent/{HOSTILE}"],
)


def test_no_verb_lets_it_reach_the_terminal(pp: Plugin, writer: Writer) -> None:
    put_hostile(writer)
    for words in VERBS:
        found = pp(*words)
        shown = OWN_COLORS.sub("", found.out + found.err)
        assert not FORBIDDEN.search(shown), (words, FORBIDDEN.findall(shown), shown)
        assert shown, words


def test_what_is_for_programs_stays_exact(pp: Plugin, writer: Writer) -> None:
    put_hostile(writer)
    items = {item["metadata"]["name"]: item for item in json.loads(pp("list", "-o", "json").out)["items"]}
    assert items["by-hand"]["spec"]["upload"]["filename"] == HOSTILE
    assert items["upload-7"]["status"]["message"] == HOSTILE


def test_the_live_view_shows_none_of_it(pp: Plugin, writer: Writer) -> None:
    put_hostile(writer)
    terminal = Terminal(pp, "kubectl", "pp", "watch", columns=100)
    terminal.until("by-hand")
    terminal.interrupt()
    assert "txt.exe" in terminal.seen
    assert not re.search("[\x07\x9b\u202e\u2066\u200b]", terminal.seen)


EXPANDED = "zz$(touch${IFS}OWNED)"


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_no_shell_is_offered_what_it_would_expand(
    pp: Plugin, writer: Writer, name: str, tmp_path: Path
) -> None:
    """kubectl's code for bash gives candidates to `compgen -W`, which expands them."""
    if name == "bash" and not BASH_COMPLETION.exists():
        pytest.skip("kubectl's code for bash needs the package bash-completion")
    made = writer.put(at("upload-7", ago_minutes=5))
    status = made["status"]
    owned = tmp_path / "owned"
    status["steps"][0]["name"] = EXPANDED.replace("OWNED", str(owned))
    status["steps"][1]["name"] = "zz`touch${IFS}" + f"{owned}`"
    writer.set_status(made["metadata"]["name"], status)
    start = {"bash": f". {BASH_COMPLETION}\n", "zsh": "autoload -Uz compinit\ncompinit -u -D\n"}
    rc = tmp_path / (".zshrc" if name == "zsh" else "bashrc")
    rc.write_text(f'{start[name]}eval "$(kubectl pp completion {name})"\necho rea"dy"\n')
    command = [shell(name), *(["-d", "-i"] if name == "zsh" else ["--rcfile", str(rc), "-i"])]
    terminal = Terminal(pp, *command, columns=120)
    terminal.until("ready")
    terminal.type(f"{CLEAR}kubectl pp list --step zz\t\t")
    terminal.type(f"{CLEAR}kubectl pp list --step fin\t")
    terminal.until("kubectl pp list --step finished")
    terminal.kill()
    assert not owned.exists()


def test_hostile_candidates_are_not_offered(pp: Plugin, writer: Writer) -> None:
    made = writer.put(at("upload-7", ago_minutes=5))
    hostile = [
        "$(x)",
        "`x`",
        "a b",
        "a;b",
        "a|b",
        "a&b",
        "a>b",
        "'a'",
        '"a"',
        "a\\b",
        "{a,b}",
        "*",
        "~a",
        "!a",
        "#a",
    ]
    status = made["status"]
    for text in hostile:
        status["steps"][0]["name"] = text
        writer.set_status(made["metadata"]["name"], status)
        done = subprocess.run(
            ["kubectl-pp", "__complete", "list", "--step", ""],
            env=pp.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        offered = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        assert text not in offered
        assert "finished" in offered
