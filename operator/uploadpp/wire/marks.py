"""Signs marks with a key that is derived from the sealing keys, so that nobody else can make one.

Everybody who may publish on `main-queue` can write our metadata. Without a signature of ours an
event is what an event of its type from anybody is (docs/adr/0016).
"""

import logging
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable
from enum import StrEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import Protocol

log = logging.getLogger(__name__)

SIGNATURE_KEY = "uploadpp-signature"
"""Metadata key that carries the signature of mark and plan."""
POLICY_SIGNATURE_KEY = "uploadpp-policy-signature"
"""Metadata key that carries the signature of mark, plan and policy.

It is one of its own: a version that knows no policies verifies the signature of mark and plan.
"""
SIGNATURE_BYTES = 16
PERSON = b"uploadpp-mark"


class Unproven(StrEnum):
    """Why a mark is not ours; the label of `uploadpp_foreign_marks_total`."""

    UNSIGNED = "Unsigned"
    UNKNOWN_SIGNATURE = "UnknownSignature"


class Proofs(Protocol):
    """Verifies marks."""

    def is_ours(self, metadata: dict[str, str], sequence: int, *signed: str) -> bool:
        """Whether the signature in the metadata is for what was `signed`, at a position of the stream."""

    def proves(self, signature: str, *signed: str) -> bool:
        """Whether a signature is ours for some texts."""


class AnyMark:
    """Believes every mark: for tools that only look."""

    def is_ours(self, metadata: dict[str, str], sequence: int, *signed: str) -> bool:
        """It is."""
        del metadata, sequence, signed
        return True

    def proves(self, signature: str, *signed: str) -> bool:
        """It does."""
        del signature, signed
        return True


class NoMark:
    """Believes no mark."""

    def is_ours(self, metadata: dict[str, str], sequence: int, *signed: str) -> bool:
        """It is not."""
        del metadata, sequence, signed
        return False

    def proves(self, signature: str, *signed: str) -> bool:
        """It does not."""
        del signature, signed
        return False


class Marks:
    """Signs with the first key, and believes what any of the keys has signed."""

    def __init__(
        self,
        keys: Iterable[bytes],
        unsigned_until: int = 0,
        on_foreign: Callable[[Unproven], None] = lambda _: None,
    ) -> None:
        """Take the keys, the current one first.

        Up to the position `unsigned_until` of the stream an earlier version has published, which did not
        sign. `on_foreign` is told of every mark that is not ours.

        Raises:
            ValueError: there is no key.
        """
        self._keys = tuple(keys)
        if not self._keys:
            raise ValueError("no key to sign with")
        self._hashes = [blake2b(key=key, digest_size=SIGNATURE_BYTES, person=PERSON) for key in self._keys]
        self._unsigned_until = unsigned_until
        self._on_foreign = on_foreign
        self._told: set[Unproven] = set()

    @classmethod
    def of(cls, sealing_keys: Iterable[str]) -> "Marks":
        """Sign with keys that are derived from the sealing keys, which are URL-safe base64 of 32 bytes.

        Raises:
            ValueError: there is none, or one is something else.
        """
        return cls(urlsafe_b64decode(key) for key in sealing_keys)

    def reading(self, unsigned_until: int, on_foreign: Callable[[Unproven], None]) -> "Marks":
        """The same keys for one reader of the stream."""
        return Marks(self._keys, unsigned_until, on_foreign)

    def sign(self, *signed: str) -> str:
        """The signature of some texts."""
        return _signature(self._hashes[0], signed)

    def proves(self, signature: str, *signed: str) -> bool:
        """Whether one of the keys has signed some texts."""
        text = signature.encode("utf-8", "replace")
        return any(compare_digest(_signature(each, signed).encode(), text) for each in self._hashes)

    def is_ours(self, metadata: dict[str, str], sequence: int, *signed: str) -> bool:
        """Whether a mark is ours: signed, or from before the upgrade to a version that signs."""
        signature = metadata.get(SIGNATURE_KEY)
        if signature is None:
            if sequence <= self._unsigned_until:
                return True
            self._foreign(Unproven.UNSIGNED)
            return False
        if self.proves(signature, *signed):
            return True
        self._foreign(Unproven.UNKNOWN_SIGNATURE)
        return False

    def _foreign(self, why: Unproven) -> None:
        self._on_foreign(why)
        if why not in self._told:
            self._told.add(why)
            log.warning(
                "ignoring an event with a mark that this installation did not sign (%s): the event is forged,"
                " from another installation on this stream, or from a replica with another sealing key;"
                " further ones are only counted (uploadpp_foreign_marks_total)",
                "no signature" if why is Unproven.UNSIGNED else "signed with an unknown key",
            )


def _signature(keyed: blake2b, signed: tuple[str, ...]) -> str:
    # A copy of a hash that has taken its key in costs a third of a new one. NUL keeps the texts apart.
    each = keyed.copy()
    each.update("\0".join(signed).encode("utf-8", "surrogatepass"))
    return each.hexdigest()
