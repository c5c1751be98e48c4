"""An upload in the form of `ocis storage-users uploads sessions --json`.

What only the storage knows (offset, owner, its own expiry) is what follows from being in
postprocessing: all bytes are there. Users appear where the operator shows user ids.
"""

from typing import Any

from kubectl_pp.upload import Upload

NO_TIME = "0001-01-01T00:00:00Z"


def session(upload: Upload) -> dict[str, Any]:
    """One element of the array."""
    file, virus = upload.file, upload.virus
    scan = next((step for step in upload.steps if step.name == "virusscan"), None)
    size = file.get("filesize", 0)
    scanned = scan is not None and scan.finished is not None
    scan_status: dict[str, Any] = next(
        (s for s in upload.status.get("steps", []) if s.get("name") == "virusscan"), {}
    )
    return {
        "id": upload.id,
        "space": file.get("spaceID", ""),
        "filename": file.get("filename", ""),
        "offset": size,
        "size": size,
        "executant": {"idp": "", "opaque_id": file.get("userID", ""), "type": ""},
        "spaceowner": {"opaque_id": ""},
        "expires": upload.status.get("expirationTime", NO_TIME),
        "processing": not upload.ended,
        "virus_scan_date": scan_status.get("finishTime", NO_TIME) if scanned else NO_TIME,
        "virus_scan_result": (virus.message or "rejected") if virus else "",
        "status": upload.stage,
        "status_message": upload.message,
    }
