"""Whether a later version of the operator has written what is under way (docs/adr/0054).

After a rollback, or when a replica of before takes over in the middle of a rollout, there may be uploads
whose state has words that this version does not know. It cannot drive them. It must not read on either: it
would acknowledge the answers to them, and they would be lost for the version that comes back.
"""

from collections.abc import Mapping
from typing import Any

from uploadpp.api.decode import is_ours
from uploadpp.api.field_reader import UnknownWordError
from uploadpp.kube.sealing import UnknownContentError


class LaterVersionError(Exception):
    """A later version has written uploads that are under way."""


class VersionCheck:
    """Counts uploads under way that only another version can read, while they are listed."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._why = ""

    def failed(self, resource: Mapping[str, Any], error: Exception) -> None:
        """An upload that is under way cannot be read: because of a later version?

        What is in a status that somebody else has written is that one's fault, and proves nothing. With our
        key only we can have sealed.
        """
        unknown_word = isinstance(error, UnknownWordError) and error.field.startswith("status.")
        if (unknown_word or isinstance(error, UnknownContentError)) and is_ours(resource):
            self._names.add(str(resource["metadata"]["name"]))
            self._why = self._why or f"{resource['metadata']['name']}: {error}"

    def settle(self) -> None:
        """All are listed: has a later version worked here?

        Raises:
            LaterVersionError: it has.
        """
        if self._names:
            count = f"{len(self._names)} uploads are" if len(self._names) > 1 else "an upload is"
            raise LaterVersionError(
                f"{count} written by a later version of the operator, and this one cannot read that "
                f"({self._why}): run that version, or delete those resources"
            )
