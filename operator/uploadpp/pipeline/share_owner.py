"""Whose share of the slots an upload takes, also where its resource shows neither user nor space."""

import orjson

from uploadpp.core.model import Upload
from uploadpp.core.shares import FairShare, Share, SharePolicy


def share_of_upload(upload: Upload, policy: SharePolicy) -> Share:
    """The share that an upload belongs to."""
    owner = space_of(upload) if policy.by is FairShare.SPACE else user_of(upload)
    return policy.share(owner, upload.priority_class)


def user_of(upload: Upload) -> str:
    """The user who has sent the file. Uploads without a user share one."""
    return upload.file.user_id or _word(upload.origin.executing_user, "id", "opaque_id")


def space_of(upload: Upload) -> str:
    """The space that the file belongs to. Uploads without a space share one."""
    return upload.file.space_id or _word(upload.origin.resource_id, "space_id")


def size_of(upload: Upload) -> int:
    """The size of the file in bytes."""
    return int(upload.origin.filesize)


def _word(text: str, *path: str) -> str:
    """A string within JSON; empty when it is not there."""
    try:
        value = orjson.loads(text)
        for key in path:
            value = value[key]
        return str(value)
    except (ValueError, KeyError, TypeError):
        return ""
