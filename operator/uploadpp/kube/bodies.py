"""The body of an answer, read within bounds.

What stands between us and the API server may send a body without an end, or one that grows a
thousandfold when it is unpacked. The time of a request is bounded elsewhere; this bounds the memory.
"""

import aiohttp

from uploadpp.kube.errors import TooLargeAnswerError

MOST_BYTES = 16 * 1024 * 1024
"""One object has at most 3 MB. A page of a list that has more is asked for again with fewer objects."""


async def read_body(response: aiohttp.ClientResponse, most: int = 0) -> bytes:
    """The whole body, unpacked.

    Raises:
        TooLargeAnswerError: it has more bytes than any answer of the API server; the rest is not read.
    """
    most = most or MOST_BYTES
    length = response.content_length
    if length is not None and length <= most and "Content-Encoding" not in response.headers:
        return await response.read()
    parts: list[bytes] = []
    left = most
    async for part in response.content.iter_any():
        left -= len(part)
        if left < 0:
            response.close()
            raise TooLargeAnswerError(
                f"{response.method} {response.url.path}: the answer ({response.status}) has more than "
                f"{most} bytes; unless this is a list, something between the operator and the API server "
                "sent it"
            )
        parts.append(part)
    return b"".join(parts)
