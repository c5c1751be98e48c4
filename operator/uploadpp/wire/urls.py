"""When a download URL expires. The URL is a bearer credential, and nothing else is read from it."""

import binascii
from base64 import urlsafe_b64decode

import orjson

from uploadpp.core.bounds import LAST_MOMENT, moment
from uploadpp.core.model import Millis

JWT_PARTS = 3


def expiry_of(url: str) -> Millis | None:
    """When the token at the end of a data gateway URL expires (`exp`), in ms; None without one.

    The token is signed with the storage's secret, which we do not have: it is read, not trusted.
    """
    parts = url.rpartition("/")[2].split(".")
    if len(parts) != JWT_PARTS:
        return None
    try:
        claims = orjson.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if not isinstance(expiry, int | float) or isinstance(expiry, bool):
        return None
    # An expiry before 1970 says no more than 1970 does, and a length of time is never negative with it.
    return Millis(max(moment(min(expiry, LAST_MOMENT) * 1000), 0))
