"""Acting as somebody else: `as`, `as-uid`, `as-groups` and `as-user-extra` of a kubeconfig's user."""

import string
from typing import Any, Protocol

from uploadpp.kube.access import ConfigError

_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$&'*+-.^_`|~")
"""What may stand in a header's name (RFC 7230), without the percent sign, which begins an escape."""


FIELDS = {
    "Impersonate-User": "as",
    "Impersonate-Uid": "as-uid",
    "Impersonate-Group": "as-groups",
    "Impersonate-Extra-": "as-user-extra",
}


class User(Protocol):
    """The part of `kube.kubeconfig.Entry` that is needed here."""

    @property
    def values(self) -> dict[str, Any]:
        """The fields as they stand there."""

    def text(self, key: str) -> str:
        """A string."""

    def error(self, key: str, problem: str) -> ConfigError:
        """What to raise about a field."""


def impersonation(user: User) -> tuple[tuple[str, str], ...]:
    """The headers that ask the API server to take us for somebody else.

    Raises:
        ConfigError: a field has the wrong form, or it is not said who.
    """
    name, uid = user.text("as"), user.text("as-uid")
    groups = _texts(user, "as-groups", user.values.get("as-groups"))
    extra = user.values.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise user.error("as-user-extra", "must be an object")
    if not name:
        if uid or groups or extra:
            raise user.error("as", "is missing, but as-uid, as-groups or as-user-extra is set")
        return ()
    headers = [("Impersonate-User", name)]
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        escaped = "".join(_escaped(each) for each in str(key).encode())
        headers += [(f"Impersonate-Extra-{escaped}", each) for each in _texts(user, "as-user-extra", values)]
    for header, value in headers:
        if any(char < " " or char == "\x7f" for char in value):
            field = FIELDS[next(each for each in FIELDS if header.startswith(each))]
            raise user.error(field, "has a control character, which no HTTP header can hold")
    return tuple(headers)


def _texts(user: User, key: str, values: object) -> list[str]:
    found = values or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise user.error(key, "must be a list of strings")
    return found


def _escaped(byte: int) -> str:
    return chr(byte) if chr(byte) in _TOKEN else f"%{byte:02X}"
