"""What goes into a report, without what others must not see: secrets, addresses, names of files and users."""

from __future__ import annotations

import os
import re
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

from uploadpp.core.text import REMOVED, clean, redact, without_assigned

MAX_TEXT = 2048
"""Maximum number of characters of one text in a report."""
UPLOAD_KEYS = frozenset({"token", "observedToken"})
"""Keys of an upload that only name a request for a restart."""
POD_KEYS = frozenset({"path"})
"""Keys of a Pod that name a path in its image or of a probe, and not a user's file."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_PARTS = re.compile(
    r"secret|passw|passphrase|token|credential|nkey|authoriz|bearer|apikey|private|cookie|signature|accesskey"
    r"|connectionstring"
)
"""Looked for in a key without its separators, so that `api_key`, `apiKey` and `API-KEY` are the same."""
_SECRET_WORDS = frozenset({"auth", "dsn", "jwt", "pass", "pw", "pwd", "seed", "sig"})
_SECRET_ENDS = frozenset({"headers", "sealed", "uri", "url"})
_HARMLESS_KEYS = frozenset(
    {
        "existingSecret",
        "imagePullSecrets",
        "passwordKey",
        "sealedWith",
        "secretKeyRef",
        "secretName",
        "secretRef",
    }
    | {"topologyKey", "urlRequests", "urlSecretRef"}
)
"""Keys that look like a secret but contain the name of one, or a number."""
_REFERENCES = frozenset({"existingSecret", "secretName"})
"""What is kept of an object under a key that looks like a secret."""
_NAMES = frozenset(
    {"filename", "userID", "spaceID", "spaceOwner", "user", "username", "executant", "email", "mail", "path"}
)
"""Keys of what tells who a user is, or what a file is."""
_MIN_NAME = 3
MAX_NAMES = 200_000
"""Names that are looked for in free text: those of 50,000 uploads, in the forms that a log may have."""
_LEFT_OUT = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}")
# What `redact` takes for a secret and more: a report may leave out too much, but not too little.
_SECRET_KEY = re.compile(
    r"passw(?:or)?d|passphrase|pwd|secret|token|credential|authorization|cookie"
    r"|(?:access|account|api|auth|encryption|master|private|shared|signing)[_-]?key"
    r"|signature|nkey|seed|dsn|jwt|(?<![a-z0-9])(?:pass|pw|sig)(?![\w-])",
    re.IGNORECASE,
)
_FLAG = re.compile(r"--?[\w.-]+")
_KEYS = re.compile(
    r"\b(?:S[ACNOUX][A-Z2-7]{40,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|(?<![A-Za-z0-9+/_=-])(?=[A-Za-z0-9+/_=-]*\d)(?=[A-Za-z0-9+/_=-]*[A-Z])[A-Za-z0-9+/_=-]{40,})"
)
"""Seeds of NATS, keys of S3, and long words of mixed letters and digits, as signatures are.

Ids of uploads and hashes are lower case and stay."""
_WORD_CHARACTER = re.compile(r"\w")
_BEGINNING = re.compile(r"(?<!\w)(?=.)", re.DOTALL)
"""Where a name may begin that is not a part of a longer word."""
_PEM = re.compile(r"-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|\Z)", re.DOTALL)
_WHOLE_PEM = re.compile(r"-----BEGIN [A-Z ]{1,40}-----.{0,8192}?-----END [A-Z ]{1,40}-----", re.DOTALL)


def replaced(text: str, name: str, stand_in: str) -> str:
    """A name replaced wherever it is not a part of a longer word."""
    done, at = [], 0
    while (found := text.find(name, at)) >= 0:
        end = found + len(name)
        if _WORD_CHARACTER.search(text[max(found - 1, 0) : found] + text[end : end + 1]):
            done.append(text[at : found + 1])
            at = found + 1
        else:
            done += [text[at:found], stand_in]
            at = end
    return "".join([*done, text[at:]])


class Redaction:
    """One for each report: the same name has the same stand-in all over it."""

    def __init__(self, *, with_names: bool) -> None:
        self._with_names = with_names
        self._known: dict[str, str] = {}
        self._lengths: dict[str, list[int]] = {}
        """How long the names are that begin with these characters."""
        self.has_room = True
        """Whether all names that were learned are looked for."""
        self._salt = os.urandom(16)

    def learn(self, resource: dict[str, Any]) -> None:
        """Remember the names in a resource, so that they are found in free text too."""
        upload = (resource.get("spec") or {}).get("upload")
        for key, value in upload.items() if isinstance(upload, dict) else ():
            if key in _NAMES and isinstance(value, str):
                self.remember(key, value)

    def value(self, value: object, key: str = "", harmless: frozenset[str] = frozenset()) -> object:
        """Anything that came as JSON; `harmless` are keys that are fine where it comes from."""
        if key not in harmless:
            if _holds_secret(key):
                return _references(value)
            if not self._with_names and key in _NAMES and isinstance(value, str) and value:
                return self._stand_in(key, value)
        if isinstance(value, dict):
            if "value" in value and _holds_secret(str(value.get("name", ""))):
                value = {**value, "value": REMOVED}  # a variable of a container
            kept = {clean(str(name)): each for name, each in value.items() if name not in _LEFT_OUT}
            return {name: self.value(each, name, harmless) for name, each in kept.items()}
        if isinstance(value, list):
            return [self.value(each, key, harmless) for each in _without_arguments(value)]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """One line of free text."""
        text = _PEM.sub(REMOVED, text[: 4 * MAX_TEXT])
        text = without_assigned(text, _SECRET_KEY)
        text = _KEYS.sub(REMOVED, redact(text, MAX_TEXT))
        if self._with_names:
            return text
        for name in self._names_in(text):
            text = replaced(text, name, self._known[name])
        return _MAIL.sub("<mail>", text)

    def lines(self, text: str) -> list[str]:
        """Free text of several lines."""
        return [self.text(line) for line in without_keys(text).splitlines()]

    def remember(self, key: str, name: str) -> None:
        """Find a name in free text too; `key` says what it is of."""
        if self._with_names or name in self._known:
            return
        self.has_room = self.has_room and len(self._known) < MAX_NAMES
        if not self.has_room:
            return
        for form in (name, clean(name), quote(name)):
            if len(form) < _MIN_NAME or form in self._known:
                continue
            self._known[form] = self._stand_in(key, name)
            lengths = self._lengths.setdefault(form[:_MIN_NAME], [])
            if len(form) not in lengths:
                lengths.append(len(form))

    def _names_in(self, text: str) -> list[str]:
        """The names in a text, the longest first: "Miller.pdf" before "Miller", or a part of it would stay.

        Many files have names that begin alike, so they are looked up by their beginning and their length.
        """
        found = set()
        for begin in _BEGINNING.finditer(text) if self._known else ():
            at = begin.start()
            for length in self._lengths.get(text[at : at + _MIN_NAME], ()):
                if text[at : at + length] in self._known:
                    found.add(text[at : at + length])
        return sorted(found, key=len, reverse=True)

    def _stand_in(self, key: str, value: str) -> str:
        """A word for a name; without the salt of this report nobody can try which name it is."""
        digest = blake2b(value.encode(errors="replace"), key=self._salt, digest_size=4).hexdigest()
        return f"<{key} {digest}>"


def without_keys(text: str) -> str:
    """Text of several lines without keys and certificates, which go over some of them."""
    return _WHOLE_PEM.sub(REMOVED, text)


def _holds_secret(key: str) -> bool:
    if not key or key in _HARMLESS_KEYS:
        return False
    words = [word.lower() for word in _WORDS.findall(key)]
    last = words[-1] if words else ""
    return (
        _SECRET_PARTS.search("".join(words)) is not None
        or not _SECRET_WORDS.isdisjoint(words)
        or last in _SECRET_ENDS
        or (last == "key" and len(words) > 1)
    )


def _references(value: object) -> object:
    """What is shown of a secret: whether it is set, and where it is kept."""
    if isinstance(value, dict):
        return {
            clean(str(name)): clean(each)
            if name in _REFERENCES and isinstance(each, str)
            else _references(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_references(each) for each in value]
    return REMOVED if value and not isinstance(value, bool) else value


def _without_arguments(words: list[Any]) -> list[Any]:
    """A list in which a word after a flag such as --password is removed."""
    found = list(words)
    for at, word in enumerate(words[:-1]):
        if (
            isinstance(word, str)
            and _FLAG.fullmatch(word)
            and _holds_secret(word)
            and isinstance(words[at + 1], str)
        ):
            found[at + 1] = REMOVED
    return found
