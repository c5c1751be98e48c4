"""Commands to copy, exact and safe to paste: each value that another person chose is quoted."""

from __future__ import annotations

from argparse import Namespace
from shlex import quote

from kubectl_pp.flags import same_cluster
from kubectl_pp.sanitize import Json
from kubectl_pp.selection import escaped
from kubectl_pp.ui.filters import Filter
from kubectl_pp.ui.model import Found


class Commands:
    """For the place that the page looks at."""

    def __init__(self, options: Namespace, namespace: str | None) -> None:
        self._place = same_cluster(vars(options))
        self._namespace = namespace

    def verb(self, text: str, namespace: str) -> str:
        """A verb of ours with its arguments, which are quoted already, about an upload there."""
        return f"kubectl pp {text} -n {quote(namespace)}{self._place}"

    def for_filter(self, wanted: Filter, found: Found) -> list[Json]:
        """What does the same in a shell as the page does now; empty where no flags say it."""
        if wanted.text or wanted.retries or wanted.older or not found.total:
            return []
        words = {
            "": ["--running"],
            "all": [],
            "attention": ["--stalled"],
            "failed": ["--failed"],
        }.get(wanted.view)
        if words is None or (wanted.status and wanted.view != "attention"):
            return []
        if wanted.step:
            words = [*words, f"--step {quote(wanted.step)}"]
        users = (
            [f"--field-selector {quote(f'spec.upload.userID={escaped(wanted.user)}')}"] if wanted.user else []
        )
        listing = self._somewhere(" ".join(["list", *words, *users]))
        commands = [{"text": "The same list in a terminal:", "command": listing}]
        if wanted.view == "attention" and found.stuck:
            resume = self._somewhere(" ".join(["resume", *words, *users]))
            text = f"When the cause is fixed, resume all {found.stuck:,} that are stalled or held:"
            commands.append({"text": text, "command": resume})
        return commands

    def _somewhere(self, text: str) -> str:
        place = "-A" if self._namespace is None else f"-n {quote(self._namespace)}"
        return f"kubectl pp {text} {place}{self._place}"
