"""Writing kubeconfig files."""

import base64
import json
from pathlib import Path


def write_kubeconfig(path: Path, *, server: str, ca: bytes, token: str, namespace: str = "default") -> None:
    """A kubeconfig for one user of one cluster, readable by nobody else."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [
            {
                "name": "local",
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()},
            }
        ],
        "users": [{"name": "local", "user": {"token": token}}],
        "contexts": [
            {"name": "local", "context": {"cluster": "local", "user": "local", "namespace": namespace}}
        ],
    }
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(config, indent=2))  # JSON is YAML
    draft.rename(path)
