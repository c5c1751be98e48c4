"""The node's configuration files are what their readers expect, and leave the machine alone."""

import re
import tomllib

from e2e.node import settings
from e2e.node.sandbox import HOME, Link

LINK = Link(7)


def test_a_cable_has_addresses_of_its_own() -> None:
    assert (LINK.interface, LINK.machine, LINK.node) == ("upp7", "198.18.7.1", "198.18.7.2")
    assert LINK.pods == "198.19.7.0/24"


def test_containerd_asks_no_registry_and_stays_in_its_folder() -> None:
    found = tomllib.loads(settings.containerd())
    cri = found["plugins"]["io.containerd.grpc.v1.cri"]
    assert found["root"].startswith(f"{HOME}/")
    assert found["state"].startswith("/run/")
    assert cri["sandbox_image"] == settings.PAUSE
    assert re.fullmatch(r"docker\.io/local/\w+:\w+", settings.PAUSE), "a short name would be looked up"
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False


def test_kubelet_and_runtime_agree() -> None:
    kubelet = settings.kubelet(LINK, "uploadpp-node-1")
    socket = tomllib.loads(settings.containerd())["grpc"]["address"]
    assert kubelet["containerRuntimeEndpoint"] == f"unix://{socket}"
    assert kubelet["cgroupDriver"] == "cgroupfs"
    assert kubelet["cgroupRoot"] == "/uploadpp-node-1"
    assert kubelet["clusterDNS"] == [LINK.node]
    assert kubelet["clusterDomain"] in settings.corefile()


def test_pods_reach_services_and_get_addresses_of_the_cable() -> None:
    (bridge,) = settings.cni(LINK)["plugins"]
    assert bridge["isDefaultGateway"] is True
    assert bridge["ipam"]["ranges"] == [[{"subnet": LINK.pods}]]
    assert settings.kube_proxy(LINK)["clusterCIDR"] == LINK.pods


def test_kube_proxy_leaves_the_connection_table_of_the_machine_alone() -> None:
    assert settings.kube_proxy(LINK)["conntrack"] == {"maxPerCore": 0}
