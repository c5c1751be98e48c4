"""Request paths: the one place where names become part of a URL.

Names come from resources that others write. A name with a slash would ask for another
object than the one it names, perhaps one of another namespace.
"""

import re
from urllib.parse import quote

from uploadpp.kube.errors import NotFoundError

_NOT_NAMES = frozenset({"", ".", ".."})
"""What a server would take for a step along the path instead of a name."""
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
"""Nearly all names: nothing in them is encoded."""


def api_path(*names: str) -> str:
    """The path made of these names, each percent-encoded.

    Raises:
        NotFoundError: no object can have one of these names.
    """
    for name in names:
        if name in _NOT_NAMES:
            raise NotFoundError(f"not a valid object name: {name!r}")
    return "".join([f"/{name if _PLAIN.fullmatch(name) else quote(name, safe='')}" for name in names])
