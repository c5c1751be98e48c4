"""`make dev` and `make dev-down`: everything the operator needs, and the operator, in the background."""

import hashlib
import os
import shlex
import shutil
import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import Service, StartError
from e2e.operator_process import Operator, OperatorOptions, leave_out_ours, say_left_out
from e2e.paths import REPO

FOLDER = Path(os.environ.get("UPLOADPP_DEV_FOLDER") or REPO / ".dev")  # tests have one of their own
NAMESPACE = "uploadpp-dev"
OURS = frozenset({"POSTPROCESSING_DEBUG_ADDR", "POSTPROCESSING_EVENTS_ENDPOINT"})
"""Where the servers are: a shell that has read .dev/env knows where an earlier run had them."""


def up(environment: Mapping[str, str]) -> None:
    """Start what does not run yet, and write .dev/env."""
    instance = _instance()
    cluster, nats = LocalCluster(instance), NatsServer(instance)
    operator = _operator(instance, cluster, nats, environment)
    for service in (cluster.etcd, cluster.apiserver, nats):
        _start(service)
    kubeconfig = cluster.start()
    apply_crds(kubeconfig)
    kubectl = Kubectl(kubeconfig)
    namespace = kubectl("create", "namespace", NAMESPACE, "--dry-run=client", "--output=yaml")
    kubectl("apply", "--server-side", "--filename=-", stdin=namespace)
    if environment.get("NO_OPERATOR"):
        print("operator left out, as asked; `uploadpp run` starts one with the settings of .dev/env")
    else:
        if operator.process and instance.load("operator-settings") != operator.settings():
            print("the operator's settings changed, so it is restarted")
            operator.stop()
        instance.save("operator-settings", operator.settings())
        _start(operator)
    _write_env(operator, nats)
    print(f"Now: . {FOLDER.name}/env; kubectl get uploadpostprocessings     stop with: make dev-down")


def down() -> None:
    """Stop everything, the operator first and gracefully, and leave nothing."""
    instance = _instance()
    running = instance.processes()
    if "operator" in running:
        cluster, nats = LocalCluster(instance), NatsServer(instance)
        _operator(instance, cluster, nats, {}).stop()
    instance.close()
    shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"stopped: {', '.join(running)}" if running else "nothing was running")


def _instance() -> Instance:
    """The one instance of this working copy. It belongs to the folder: without it, it is a leftover."""
    logs = FOLDER / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    instance = Instance.named(f"dev-{hashlib.sha256(str(FOLDER).encode()).hexdigest()[:8]}", home=FOLDER)
    instance.logs = logs
    return instance


def _operator(
    instance: Instance, cluster: LocalCluster, nats: NatsServer, environment: Mapping[str, str]
) -> Operator:
    steps = environment.get("STEPS")
    own = {k: v for k, v in environment.items() if k.startswith("POSTPROCESSING_") and k not in OURS}
    if own:
        print(f"settings of the operator from your shell: {', '.join(sorted(own))}")
    if steps is not None:
        own["POSTPROCESSING_STEPS"] = steps
    options = OperatorOptions(cluster.kubeconfig, nats.address, NAMESPACE, environment=own)
    return Operator(instance, options)


def _start(service: Service) -> None:
    """Start it unless it runs, and say which."""
    process = service.process
    if process is None:
        service.start()
    state = "started" if process is None else "already running"
    assert service.process is not None  # noqa: S101  # it answered
    print(f"{service.name} {state}: pid {service.process.pid}, {service.log}")


def _write_env(operator: Operator, nats: NatsServer) -> None:
    """Shell exports for whatever wants to talk to the servers."""
    variables = {
        **operator.settings(),
        "NATS_URL": nats.url,
        "NATS_MONITOR_URL": nats.monitor_url,
        "METRICS_URL": f"{operator.url}/metrics",
        "UPLOADPP_PID": str(operator.pid or ""),
        "UPLOADPP_LOG": str(operator.log),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    path = FOLDER / "env"
    path.touch(mode=0o600)
    path.write_text("\n".join(["# Written by `make dev`: . .dev/env", *lines, ""]))


def main(args: list[str]) -> int:
    """`up` or `down`."""
    try:
        match args:
            case ["up"]:
                given = dict(os.environ)
                say_left_out([name for name in leave_out_ours() if not name.startswith("POSTPROCESSING_")])
                up(given)
            case ["down"]:
                leave_out_ours()
                down()
            case _:
                print("usage: python -m e2e.dev up|down", file=sys.stderr)
                return 2
    except (StartError, RuntimeError, urllib.error.URLError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
