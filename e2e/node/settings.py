"""The configuration files of the node's servers, as functions of the little that differs."""

import json
from collections.abc import Mapping
from typing import Any

from e2e.node.machine import CNI_PLUGINS
from e2e.node.sandbox import HOME, Link

PAUSE = "docker.io/local/pause:1"
SOCKET = "/run/containerd/containerd.sock"
DOMAIN = "cluster.local"
NODE = "node"

Settings = Mapping[str, Any]

_KEEP = dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "0%")


def containerd() -> str:
    """Containerd without a registry; its images are imported."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    # Without restrict_oom_score_adj nothing starts where CAP_SYS_RESOURCE is missing, as in some containers.
    return f"""version = 2
root = "{HOME}/containerd/root"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[{cri}]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [{cri}.cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{HOME}/cni"
  [{cri}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [{cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def cni(link: Link) -> Settings:
    """A bridge for the Pods; what leaves it does so under the node's address."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isDefaultGateway": True,  # without a default route Pods cannot reach Services
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": f"{HOME}/addresses",
            "ranges": [[{"subnet": link.pods}]],
        },
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def kubelet(link: Link, cgroup: str) -> Settings:
    """A kubelet that leaves the machine as it is, and does not mind how full its disk is."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": link.node,
        "healthzBindAddress": link.node,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},  # only this machine can reach it
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "evictionHard": _KEEP,
        "imageGCHighThresholdPercent": 100,
        "clusterDNS": [link.node],
        "clusterDomain": DOMAIN,
        "resolvConf": "",  # there is no world outside
        "podLogsDir": f"{HOME}/pod-logs",
        "volumePluginDir": f"{HOME}/kubelet/plugins",
    }


def kube_proxy(link: Link) -> Settings:
    """Services by iptables."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": f"{HOME}/kubeconfig"},
        "clusterCIDR": link.pods,
        "hostnameOverride": NODE,
        "healthzBindAddress": f"{link.node}:10256",
        "metricsBindAddress": "",
        "conntrack": {"maxPerCore": 0},  # the table belongs to the whole machine
    }


def corefile() -> str:
    """The names of Services, and no others."""
    return f""".:53 {{
    errors
    ready :8181
    kubernetes {DOMAIN} {{
        kubeconfig {HOME}/kubeconfig
    }}
}}
"""


def as_text(settings: Settings) -> str:
    """A configuration file; JSON is YAML."""
    return json.dumps(settings, indent=2) + "\n"
