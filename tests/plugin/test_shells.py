"""Completion where people meet it: a key pressed in a real shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import Terminal

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
CLEAR = "\x15"


def shell(name: str) -> str:
    """The path of a shell, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {name})")
    return found


def test_fish(pp: Plugin, writer: Writer) -> None:
    fish = shell("fish")
    writer.put(at("upload-7", ago_minutes=5))

    def completed(line: str) -> list[str]:
        code = f'kubectl pp completion fish | source; complete -C "{line}"'
        run = subprocess.run(
            [fish, "--no-config", "-c", code], env=pp.environment, capture_output=True, text=True, check=True
        )
        return run.stdout.splitlines()

    assert completed("kubectl pp resta") == ["restart\tbegin a new run of uploads"]
    assert completed("kubectl pp list --color=al") == ["--color=always"]
    assert completed("kubectl pp status upl") == ["upload-7\tRunning, step virusscan report.pdf"]


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_bash_and_zsh(pp: Plugin, writer: Writer, name: str, tmp_path: Path) -> None:
    if name == "bash" and not BASH_COMPLETION.exists():
        pytest.skip("kubectl's code for bash needs the package bash-completion")
    writer.put(at("upload-7", ago_minutes=5))
    start = {
        "bash": f". {BASH_COMPLETION}\n",
        "zsh": "autoload -Uz compinit\ncompinit -u -D\n",
    }
    rc = tmp_path / (".zshrc" if name == "zsh" else "bashrc")
    rc.write_text(f'{start[name]}eval "$(kubectl pp completion {name})"\necho rea"dy"\n')
    command = [shell(name), *(["-d", "-i"] if name == "zsh" else ["--rcfile", str(rc), "-i"])]
    terminal = Terminal(pp, *command, columns=120)
    terminal.until("ready")
    for typed, wanted in (
        ("kubectl pp resta\t", "kubectl pp restart"),
        ("kubectl pp list --color=al\t", "--color=always"),
        ("kubectl pp status upl\t", "kubectl pp status upload-7"),
    ):
        terminal.type(CLEAR + typed)
        terminal.until(wanted)
    terminal.kill()


def test_bash_says_what_it_needs(pp: Plugin) -> None:
    code = 'eval "$(kubectl pp completion bash)"'
    run = subprocess.run(
        [shell("bash"), "--norc", "-c", code], env=pp.environment, capture_output=True, text=True, check=False
    )
    assert "needs the package bash-completion" in run.stderr
