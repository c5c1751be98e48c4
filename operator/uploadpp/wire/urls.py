"""What a download URL says about itself: only when it expires. The URL is a bearer credential."""

import binascii
from base64 import urlsafe_b64decode

import orjson

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
    return Millis(int(expiry * 1000))
