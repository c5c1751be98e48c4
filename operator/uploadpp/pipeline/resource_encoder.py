"""How an upload becomes a resource, with its origin and its plan sealed."""

from dataclasses import dataclass

from uploadpp.api.codec import ShownField, to_resource
from uploadpp.core.model import Origin, Upload
from uploadpp.core.plan_text import plan_to_seal
from uploadpp.kube.sealing import Opened, SealError
from uploadpp.pipeline.ports import Json, Seals


@dataclass(frozen=True, slots=True)
class ResourceEncoder:
    """Writes resources for one namespace."""

    seals: Seals
    namespace: str
    shown: frozenset[ShownField]

    def resource(self, upload: Upload) -> Json:
        """The resource to create."""
        sealed = self.seal(upload.origin, upload)
        return to_resource(upload, namespace=self.namespace, shown=self.shown, sealed=sealed)

    def seal(self, origin: Origin, upload: Upload) -> str:
        """An origin of an upload, and its plan, as `spec.sealed` holds them."""
        return self.seals.seal(origin, upload.id, plan_to_seal(upload, origin))

    def opens_to(self, sealed: str, upload: Upload) -> bool:
        """Whether this is what came with an upload, and its plan."""
        known = Opened(upload.origin, plan_to_seal(upload, upload.origin))
        try:
            return bool(sealed) and self.seals.open(sealed, upload.id) == known
        except SealError:
            return False

    def is_by_hand(self, sealed: str, upload_id: str) -> bool:
        """Whether this came from a person: it is not sealed, or holds the URL of a Secret."""
        try:
            return not sealed or self.seals.open(sealed, upload_id).origin.by_hand
        except SealError:
            return False
