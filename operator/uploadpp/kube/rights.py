"""Checks the permissions for recording uploads before an upload needs them.

The API server answers a SelfSubjectAccessReview for everybody who is logged in (`system:basic-user`), so
the Role needs nothing for it. It stores nothing either.
"""

import asyncio
import logging

from uploadpp.kube.api import Api, Json
from uploadpp.kube.errors import ApiError, ForbiddenError
from uploadpp.kube.paths import api_path

log = logging.getLogger(__name__)

AGAIN_SECONDS = 15.0
LACKING_SECONDS = 2.0
"""Interval while a permission is missing, so that a grant is noticed soon."""
GROUP, PLURAL = "uploadpp.io", "uploadpostprocessings"
NEEDED = (("create", ""), ("patch", ""), ("patch", "status"), ("delete", ""))


class Rights:
    """What we may do with uploads, as the API server says itself."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._path = api_path("apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews")
        self.problem = ""
        """Which permissions are missing; empty if none is, or if that is unknown."""

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            before = self.problem
            try:
                self.problem = await self._missing()
            except ApiError as error:
                # Not knowing is no reason to be called unable; but unknown credentials are good for nothing.
                refused = isinstance(error, ForbiddenError) and " 401 " in str(error)
                self.problem = str(error) if refused else ""
            if self.problem and self.problem != before:
                log.warning("uploads cannot be recorded: %s", self.problem)
            elif before and not self.problem:
                log.info("the missing permissions have been granted")
            await asyncio.sleep(LACKING_SECONDS if self.problem else AGAIN_SECONDS)

    async def _missing(self) -> str:
        lacking = [_name(*each) for each in NEEDED if not await self._allowed(*each)]
        if not lacking:
            return ""
        return f"no permission to {', '.join(lacking)} (the chart's Role grants what the operator needs)"

    async def _allowed(self, verb: str, part: str) -> bool:
        asked = {"namespace": self._namespace, "verb": verb, "group": GROUP, "resource": PLURAL}
        body: Json = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked | ({"subresource": part} if part else {})},
        }
        answer = await self._api.request("POST", self._path, body)
        return bool(answer["status"]["allowed"])


def _name(verb: str, part: str) -> str:
    return f"{verb} {PLURAL}{f'/{part}' if part else ''}"
