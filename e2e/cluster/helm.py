"""The real helm, as a function."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.binaries import resolve
from e2e.cluster.golang import SHORT_LIFE
from e2e.paths import REPO, cache_dir

CHART = REPO / "charts" / "upload-postprocessing"
_TIMEOUT = 120.0
_NO_VALUES: Mapping[str, Any] = {}


class HelmError(RuntimeError):
    """Helm failed; the message is what it said."""


class Helm:
    """Helm for one namespace of one cluster, or of none if it only renders."""

    def __init__(self, namespace: str, kubeconfig: Path | None = None) -> None:
        self._prefix = [str(resolve("helm").path), f"--namespace={namespace}"]
        # Neither the user's cluster nor the user's plugins and repositories may play a part.
        own = {f"HELM_{kind}_HOME": str(cache_dir() / "helm" / kind.lower()) for kind in _HOMES}
        config = str(kubeconfig or "/nonexistent")
        self._environment = {**os.environ, **SHORT_LIFE, **own, "KUBECONFIG": config}

    def __call__(self, *args: str, values: Mapping[str, Any] = _NO_VALUES) -> str:
        """Run it; `values` count more than the chart's own.

        Raises:
            HelmError: it failed.
        """
        if values:
            args = (*args, "--values=-")
        try:
            done = subprocess.run(
                [*self._prefix, *args],
                input=json.dumps(values),
                capture_output=True,
                text=True,
                check=True,
                timeout=_TIMEOUT,
                env=self._environment,
            )
        except subprocess.CalledProcessError as error:
            raise HelmError(error.stderr.strip() or f"status {error.returncode}") from error
        return done.stdout

    def render(
        self, release: str, values: Mapping[str, Any] = _NO_VALUES, chart: Path = CHART
    ) -> list[dict[str, Any]]:
        """The objects of a release, hooks included."""
        text = self("template", release, str(chart), values=values)
        return [each for each in yaml.load_all(text, _Strict) if each]

    def install(self, release: str, values: Mapping[str, Any] = _NO_VALUES, chart: Path = CHART) -> str:
        """Install it, or upgrade what is installed to exactly these values; returns the notes."""
        return self("upgrade", "--install", "--reset-values", release, str(chart), values=values)


class _Strict(yaml.CSafeLoader):
    """YAML as kustomize and Flux read it: a key that comes twice is an error.

    The loader in C takes a tenth of the time of the other, and tests render hundreds of charts.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- theirs
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, f"a key comes twice: {keys}", node.start_mark)
        return dict(super().construct_mapping(node, deep))


_HOMES = ("CACHE", "CONFIG", "DATA")
