"""What events carry of a file that was never announced: a person made its resource."""

from uploadpp.core.model import Origin, Upload
from uploadpp.wire.rawjson import go_string


def origin_from_spec(upload: Upload) -> Origin:
    """What the spec of a hand-made resource says of the file, in the form of the wire."""
    file = upload.file
    user = f'{{"id":{{"opaque_id":{go_string(file.user_id)}}}}}' if file.user_id else "null"
    ids = {"storage_id": file.storage_id, "opaque_id": file.opaque_id, "space_id": file.space_id}
    known = ",".join(f'"{name}":{go_string(value)}' for name, value in ids.items() if value)
    return Origin(
        filename=go_string(file.filename),
        filesize=str(file.filesize),
        executing_user=user,
        resource_id=f"{{{known}}}" if known else "null",
        by_hand=True,
    )
