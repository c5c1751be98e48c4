"""PostprocessingPolicies in the API server: the operator lists them and writes their status."""

from uploadpp.kube.api import FIELD_MANAGER, MERGE_PATCH, Api, Json
from uploadpp.kube.errors import NotFoundError
from uploadpp.kube.paths import api_path
from uploadpp.kube.store import GROUP, VERSION

POLICIES = "postprocessingpolicies"
PAGE = 20
"""A policy has at most some hundred kilobytes, and a page of them has to fit into one answer."""
MOST = 500
"""Maximum number of policies that are read."""


class TooManyPoliciesError(Exception):
    """There are more policies than the operator reads."""


class PolicyStore:
    """Policies of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._path = api_path("apis", GROUP, VERSION, "namespaces", namespace, POLICIES)

    async def list_all(self) -> list[Json]:
        """Every policy.

        Raises:
            ApiError: they cannot be read.
            TooManyPoliciesError: there are too many.
        """
        found: list[Json] = []
        token = ""
        while True:
            params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
            page = await self._api.request("GET", self._path, params=params)
            found += page["items"]
            if len(found) > MOST:
                raise TooManyPoliciesError(f"there are more than {MOST} {POLICIES}; delete some of them")
            token = page["metadata"].get("continue") or ""
            if not token:
                return found

    async def get(self, name: str) -> Json | None:
        """One policy; None when it is not there."""
        try:
            return await self._api.request("GET", self._path + api_path(name))
        except NotFoundError:
            return None

    async def write_status(self, name: str, version: str, status: Json) -> Json:
        """Change the status of the given version of a policy; returns the policy.

        Raises:
            ConflictError: the policy has changed since.
            NotFoundError: it is gone.
        """
        return await self._api.request(
            "PATCH",
            self._path + api_path(name, "status"),
            {"metadata": {"resourceVersion": version}, "status": status},
            content_type=MERGE_PATCH,
            params={"fieldManager": FIELD_MANAGER, "fieldValidation": "Ignore"},
        )
