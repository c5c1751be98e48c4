"""Resources of uploads that have ended, which do not say so: they begin nothing."""

import orjson

from uploadpp.core.naming import ENDED_ANNOTATION
from uploadpp.kube.leasenotes import ENDS_ANNOTATION
from uploadpp.resources.forgotten import told_by
from uploadpp.testing.apiserver import ApiServer, Json


def tells_no_end(server: ApiServer, resource: Json) -> bool:
    """Whether a resource was made after the end and lacks its status, or a Lease has a note of its end."""
    if "status" not in resource and ENDED_ANNOTATION in resource["metadata"].get("annotations", {}):
        return True
    told = {"uid": resource["metadata"]["uid"], "told": told_by(resource)}
    return any(_noted(lease).get(told["uid"]) == told["told"] for lease in server.leases.values())


def _noted(lease: Json) -> dict[str, str]:
    text = (lease["metadata"].get("annotations") or {}).get(ENDS_ANNOTATION, "")
    noted: dict[str, str] = orjson.loads(orjson.loads(text)["told"]) if text else {}
    return noted
