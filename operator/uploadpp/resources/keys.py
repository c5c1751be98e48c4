"""Whether this replica has the keys that the resources are sealed with (docs/adr/0022).

A wrong key is the installation's fault, and the uploads behind it cannot be driven: their answers must
not be read, or they are lost. A damaged sealed part is the fault of one resource, which is left alone.
`spec.sealed` can be changed by anybody who may edit resources. `status.sealedWith`, which says what key has
sealed it, only the operator can. Where that is one of ours, somebody has changed the sealed part:
that is damage, and our key is right. Where it is another one, a single upload proves that a key is missing.
Resources of older versions do not say it, and are told apart by number:
one that no key opens may be a slip of somebody's hand; when nothing opens, or several do not, it is the key.
"""

from collections.abc import Mapping

from uploadpp.kube.sealing import UnknownKeyError

SEVERAL = 3
"""If another key has sealed this many uploads, our key is wrong."""
KEY_ANNOTATION = "uploadpp.io/sealing-key"
STEPS_ANNOTATION = "uploadpp.io/steps"
REMEDY = "add that key to the file in UPLOADPP_SEALING_KEY_FILE, or delete those resources"


class WrongKeyError(Exception):
    """Uploads that are under way are sealed with a key that this replica does not have."""


class KeyCheck:
    """Counts what our keys open of the uploads that are under way, while they are listed."""

    def __init__(self, *ours: str) -> None:
        self._ours = ours
        self._opened = 0
        self._unknown: dict[str, str] = {}
        self._is_proven = False

    @property
    def unknown(self) -> int:
        """Uploads that another key has sealed."""
        return len(self._unknown)

    def opened(self) -> None:
        """Our keys have opened one."""
        self._opened += 1

    def failed(
        self, uid: str, error: UnknownKeyError, by_status: object = None, *, of_another: bool = False
    ) -> None:
        """Another key, it seems, has sealed an upload that is under way; `by_status` is what we wrote.

        A status `of_another` resource, as in a backup, proves nothing.
        """
        named = by_status if isinstance(by_status, str) else ""
        if named in self._ours:
            self._opened += 1  # the key is right, and somebody has written into the resource
        else:
            self._unknown[uid] = named or error.fingerprint
            self._is_proven = self._is_proven or (bool(named) and not of_another)

    def settle(self) -> None:
        """All are listed: is it the key?

        Raises:
            WrongKeyError: it is.
        """
        few = self._opened and len(self._unknown) < SEVERAL
        if not self._unknown or (few and not self._is_proven):
            return
        keys = ", ".join(sorted(filter(None, set(self._unknown.values())))) or "another key"
        ours = ", ".join(self._ours)
        raise WrongKeyError(
            f"{len(self._unknown)} uploads are sealed with {keys}, this replica has {ours}: {REMEDY}"
        )


def differences(owner: Mapping[str, str], ours: Mapping[str, str], keys: tuple[str, ...]) -> tuple[str, str]:
    """How the settings of the owner of a shard, as its Lease says, differ from those of a standby.

    Returns:
        What keeps the standby from taking over, and what is merely worth a warning; empty when nothing.
    """
    sealed_with, steps = owner.get(KEY_ANNOTATION, ""), owner.get(STEPS_ANNOTATION, "")
    wrong = warning = ""
    if sealed_with and sealed_with not in keys:
        wrong = f"the owner seals with {sealed_with}, this replica has {', '.join(keys)}: {REMEDY}"
    if steps and steps != ours.get(STEPS_ANNOTATION):
        warning = f"the owner runs the steps {steps}, this replica {ours.get(STEPS_ANNOTATION)}"
    return wrong, warning
