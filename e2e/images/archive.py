"""Writes image archives in the form of `docker save`, which every runtime imports."""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image: a name with registry and tag, layers (tar files), and what a container of it runs."""

    name: str
    layers: Sequence[Path]
    config: Mapping[str, Any]


def write_archive(target: Path, image: Image) -> Path:
    """Write the archive, whole or not at all; the same image gives the same bytes."""
    digests = [_digest(layer) for layer in image.layers]
    config = json.dumps(
        {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    layers = [f"{digest}.tar" for digest in digests]
    manifest = json.dumps([{"Config": name, "RepoTags": [image.name], "Layers": layers}]).encode()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tarfile.open(draft, "w") as archive:
            for member, content in (("manifest.json", manifest), (name, config)):
                archive.addfile(_member(member, len(content)), io.BytesIO(content))
            for member, layer in zip(layers, image.layers, strict=True):
                with layer.open("rb") as file:
                    archive.addfile(_member(member, layer.stat().st_size), file)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def write_layer(target: Path, files: Mapping[str, Path]) -> Path:
    """A layer of a few programs, by their paths in the image."""
    with tarfile.open(target, "w") as layer:
        for path, source in sorted(files.items()):
            with source.open("rb") as content:
                layer.addfile(_member(path.lstrip("/"), source.stat().st_size, mode=0o755), content)
    return target


def _member(name: str, size: int, *, mode: int = 0o644) -> tarfile.TarInfo:
    """Of root and without a time, so that it is the same in every build."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
