"""What is pinned is kept up to date, and what the policy of stability says of conditions is so."""

import json
import re
import subprocess

from e2e.paths import REPO
from uploadpp.core.conditions import ConditionType

OWNERS = REPO / ".github" / "CODEOWNERS"


def tracked(*patterns: str) -> list[str]:
    found = subprocess.run(
        ["git", "ls-files", *patterns], cwd=REPO, capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


def test_every_lock_is_kept_up_to_date() -> None:
    settings = json.loads((REPO / "renovate.json").read_text())
    patterns = [each.strip("/") for each in settings["pip_requirements"]["managerFilePatterns"]]
    locks = set(tracked("*.lock")) - {"e2e/nats/oldest.lock"}  # the oldest that is supported stays it
    assert len(locks) > 4
    for lock in locks:
        assert any(re.search(each, lock) for each in patterns), lock
    assert {"github-actions", "gomod", "dockerfile"} <= set(settings["enabledManagers"])


def test_what_is_kept_up_to_date_by_its_text_is_found() -> None:
    settings = json.loads((REPO / "renovate.json").read_text())
    for manager in settings["customManagers"]:
        (match,) = manager["matchStrings"]
        (pattern,) = manager["managerFilePatterns"]
        (file,) = (name for name in tracked() if re.search(pattern.strip("/"), name))
        assert re.search(match.replace("(?<", "(?P<"), (REPO / file).read_text())


def test_actions_are_pinned_by_digest() -> None:
    """A tag can be moved to other code; the comment says which version the digest is."""
    used = [
        (name, line.strip())
        for name in tracked(".github/workflows/*")
        for line in (REPO / name).read_text().splitlines()
        if re.match(r"\s*(- )?uses:", line)
    ]
    assert len(used) > 10
    for name, line in used:
        assert re.fullmatch(r"(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+", line), (name, line)


def test_the_owners_of_everything_are_named() -> None:
    assert re.search(r"^\* +@\S+", OWNERS.read_text(), re.MULTILINE)


def test_kstatus_knows_one_of_our_conditions() -> None:
    """docs/stability.md says what follows from that."""
    page = (REPO / "docs" / "stability.md").read_text()
    sentence = re.search(r"Ours are (.+?)\. So it computes", page, re.DOTALL)
    assert sentence
    ours = set(re.findall(r"`(\w+)`", sentence[1]))
    assert ours == {str(each) for each in ConditionType}
    assert ours & {"Ready", "Reconciling", "Stalled", "InProgress", "Failed"} == {"Stalled"}
