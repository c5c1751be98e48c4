"""What holders of each role can do, asked of a real API server: docs/security.md says the same."""

import json
from functools import partial
from typing import Any

import pytest

from e2e.cluster.helm import Helm
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.waiting import wait_until

UPLOADS, STATUS = (
    ("uploadpp.io", "uploadpostprocessings", ""),
    ("uploadpp.io", "uploadpostprocessings", "status"),
)
LEASES, EVENTS = ("coordination.k8s.io", "leases", ""), ("", "events", "")
SECRETS, EXEC, PODS = ("", "secrets", ""), ("", "pods", "exec"), ("", "pods", "")
ACCOUNTS, TOKENS = ("", "serviceaccounts", ""), ("", "serviceaccounts", "token")
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")
EVERYTHING = [
    *((verb, UPLOADS) for verb in READ + WRITE),
    *((verb, each) for each in (STATUS, LEASES, SECRETS) for verb in ("get", "create", "update", "patch")),
    *(("create", each) for each in (EXEC, PODS, TOKENS, EVENTS)),
    ("impersonate", ACCOUNTS),
]
Thing = tuple[str, tuple[str, str, str]]
OURS = {
    "view": {(verb, UPLOADS) for verb in READ},
    "edit": {(verb, UPLOADS) for verb in WRITE},
    "operator": {(verb, UPLOADS) for verb in (*READ, "create", "patch", "delete")}
    | {("patch", STATUS), ("create", LEASES), ("create", EVENTS)},
}
"""What the chart's rules give. Kubernetes adds the first two to its own `view`, `edit` and `admin`."""
KUBERNETES = {
    "system:aggregate-to-view": set[Thing](),
    "system:aggregate-to-edit": {
        *((verb, LEASES) for verb in ("create", "update", "patch")),
        *((verb, SECRETS) for verb in ("get", "create", "update", "patch")),
        *(("create", each) for each in (EXEC, PODS, TOKENS, EVENTS)),
        ("impersonate", ACCOUNTS),
    },
}
"""What Kubernetes' own `edit` gives besides: with any of the last ones it is as good as the operator."""


@pytest.fixture
def roles(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """Users, by what they are given; nothing of the chart but its roles is made."""
    rendered = Helm(namespace).render("upp", {"sealingKey": {"existingSecret": "key"}})
    made = [each for each in rendered if each["kind"] in {"Role", "ClusterRole"}]
    bound: dict[str, tuple[str, str]] = {name: ("ClusterRole", name) for name in KUBERNETES}
    for each in made:
        name = each["metadata"]["name"]
        bound[name.rpartition("-")[2] if each["kind"] == "ClusterRole" else "operator"] = (each["kind"], name)
    binding: list[dict[str, Any]] = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": who.replace(":", "-"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "User", "name": who, "apiGroup": "rbac.authorization.k8s.io"}],
        }
        for who, (kind, name) in bound.items()
    ]
    kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [*made, *binding]})
    )
    return dict.fromkeys(bound, namespace)


def allowed(kubectl: Kubectl, who: str, namespace: str) -> set[Thing]:
    """What of everything that matters a user may do in a namespace."""
    asked = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": who,
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                    "subresource": subresource,
                },
            },
        }
        for verb, (group, resource, subresource) in EVERYTHING
    ]
    said = kubectl(
        *("create", "--output=json", "--filename=-"),
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": asked}),
    )
    items = documents(said)
    return {thing for thing, each in zip(EVERYTHING, items, strict=True) if each["status"].get("allowed")}


def documents(text: str) -> list[dict[str, Any]]:
    """What kubectl prints of several objects: one document after another, or a list."""
    decoder, found = json.JSONDecoder(), list[dict[str, Any]]()
    while text := text.strip():
        each, end = decoder.raw_decode(text)
        found += each["items"] if each["kind"] == "List" else [each]
        text = text[end:]
    return found


def _may(kubectl: Kubectl, who: str, namespace: str, wanted: set[Thing]) -> bool:
    return wanted <= allowed(kubectl, who, namespace)


def test_each_role_can_do_what_is_written_and_nothing_else(kubectl: Kubectl, roles: dict[str, str]) -> None:
    assert roles.keys() == OURS.keys() | KUBERNETES.keys()
    for who, namespace in roles.items():
        wanted = OURS[who] if who in OURS else KUBERNETES[who]
        # The API server learns of roles and bindings a moment after it has stored them.
        wait_until(partial(_may, kubectl, who, namespace, wanted), 30)
        found = allowed(kubectl, who, namespace)
        # Verbs of Kubernetes' own roles that none of the sentences is about may come and go.
        seen = found if who in OURS else {each for each in found if each[1] != UPLOADS}
        assert wanted <= found, (who, wanted - found)
        assert who not in OURS or seen == wanted, (who, seen - wanted)
        assert allowed(kubectl, who, "default") == set(), (who, "in another namespace")
