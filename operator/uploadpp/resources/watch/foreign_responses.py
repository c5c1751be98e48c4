"""What kopf is given to read of the API server's answers: nothing that would end it.

Kopf takes an error that it does not expect, or an answer without the parts that it looks for, for a
reason to end, waits as long as it is told to, and follows redirects with our credentials. So
what the API server has not said becomes a failed connection here, which kopf survives.
"""

from http import HTTPStatus

import aiohttp
import orjson

from uploadpp.kube.bodies import read_body
from uploadpp.kube.errors import ApiError, ExpiredError, ForbiddenError, MissingKindError
from uploadpp.kube.responses import error_of, foreign

LISTS = frozenset({"versions", "groups", "resources", "items"})
"""Each answer that kopf asks for, but for a watch, has one of these."""


class ForeignResponseError(aiohttp.ClientConnectionError):
    """An answer that kopf must not see; the text says why, and what was answered."""


async def check(answer: aiohttp.ClientResponse, *, is_watch: bool) -> ApiError | None:
    """Read an answer, but for an open watch, and judge it. Returns the error that kopf may see.

    Raises:
        ForeignResponseError: kopf may not see it.
    """
    method, path, status = answer.method, answer.url.path, answer.status
    try:
        if status < HTTPStatus.MULTIPLE_CHOICES and is_watch:
            if answer.content_type.startswith("text/"):
                raise foreign(method, path, status, f"is not a watch but {answer.content_type}")
            return None
        body = await read_body(answer)
        answer._body = body  # noqa: SLF001 -- kopf reads it again, without a bound
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise foreign(method, path, status, "is a redirect")
        if status >= HTTPStatus.BAD_REQUEST:
            raise error_of(method, path, status, answer.headers, body)
        if not _is_complete(answer, body):
            raise foreign(method, path, status, "is not what was asked for")
    except ApiError as error:
        if isinstance(error, ForbiddenError | MissingKindError) or (
            is_watch and isinstance(error, ExpiredError)
        ):
            return error
        answer.close()
        raise ForeignResponseError(str(error)) from error
    return None


def _is_complete(answer: aiohttp.ClientResponse, body: bytes) -> bool:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if answer.content_type != "application/json" or not isinstance(said, dict):
        return False
    metadata = said.get("metadata")
    is_list = isinstance(metadata, dict) and isinstance(metadata.get("resourceVersion"), str)
    found = [name for name in LISTS if isinstance(said.get(name), list)]
    return bool(found) and ("items" not in found or is_list)
