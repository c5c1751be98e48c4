"""PostprocessingPolicies in the API server: the operator lists them and writes their status."""

import orjson

from uploadpp.kube.api import FIELD_MANAGER, MERGE_PATCH, Api, Json
from uploadpp.kube.errors import NotFoundError, TooLargeAnswerError
from uploadpp.kube.pages import PageSizes, pages
from uploadpp.kube.paths import api_path
from uploadpp.kube.store import GROUP, VERSION

POLICIES = "postprocessingpolicies"
FIRST_PAGE = 8
"""Size of the first page, while the size of policies is unknown. Each may have as much as etcd takes."""
PAGE = 100
"""Maximum number of policies in one page."""
MOST = 500
"""Maximum number of policies that are read."""
MOST_BYTES = 48_000_000
"""Maximum bytes that all of them have together, without what the operator does not read of them."""
KEPT = ("name", "uid", "generation", "resourceVersion")
"""What is kept of the metadata. In the rest, anybody who may label a policy can put a megabyte."""


class TooManyPoliciesError(Exception):
    """There are more policies than the operator reads."""


def _size(value: Json) -> int:
    return len(orjson.dumps(value))


def _kept(resource: Json) -> Json:
    """What the operator keeps of a policy."""
    kept: Json = {"metadata": {name: value for name, value in resource["metadata"].items() if name in KEPT}}
    return kept | {name: resource[name] for name in ("spec", "status") if name in resource}


class PolicyStore:
    """Policies of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._path = api_path("apis", GROUP, VERSION, "namespaces", namespace, POLICIES)

    async def list_all(self) -> list[Json]:
        """Every policy: the metadata in `KEPT`, `spec` and `status`.

        Raises:
            ApiError: they cannot be read.
            TooManyPoliciesError: there are too many, or they are too large.
        """
        found: list[Json] = []
        size = 0
        sizes = PageSizes(first=FIRST_PAGE, most=PAGE, size_of=_size)
        try:
            async for page in pages(self._api, self._path, {}, sizes):
                if page.is_first:
                    found, size = [], 0
                while page.items:
                    kept = _kept(page.items.pop(0))
                    found.append(kept)
                    size += _size(kept)
                if len(found) > MOST:
                    raise TooManyPoliciesError(f"there are more than {MOST} {POLICIES}; delete some of them")
                if size > MOST_BYTES:
                    most = f"{MOST_BYTES // 10**6} MB"
                    raise TooManyPoliciesError(f"all {POLICIES} have more than {most}; delete some of them")
        except TooLargeAnswerError as error:
            which = f"the one after {found[-1]['metadata']['name']}" if found else "the first one"
            raise TooLargeAnswerError(
                f"{which}, in the order of their names, is too large to be read: remove its labels or "
                f"annotations, or delete it ({error})"
            ) from error
        return found

    async def get(self, name: str) -> Json | None:
        """One policy, as `list_all` has it; None when it is not there."""
        try:
            return _kept(await self._api.request("GET", self._path + api_path(name)))
        except NotFoundError:
            return None

    async def write_status(self, name: str, version: str, status: Json) -> Json:
        """Change the status of the given version of a policy; returns the policy as `list_all` has it.

        Raises:
            ConflictError: the policy has changed since.
            NotFoundError: it is gone.
        """
        written = await self._api.request(
            "PATCH",
            self._path + api_path(name, "status"),
            {"metadata": {"resourceVersion": version}, "status": status},
            content_type=MERGE_PATCH,
            params={"fieldManager": FIELD_MANAGER, "fieldValidation": "Ignore"},
        )
        return _kept(written)
