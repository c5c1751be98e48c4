"""What the rules of a policy may look at: the facts of one upload."""

from dataclasses import dataclass

from uploadpp.core.composition import composed
from uploadpp.core.model import FileInfo, Origin
from uploadpp.policies.file_types import extension_of, type_of
from uploadpp.wire.decode import file_info
from uploadpp.wire.rawjson import loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An upload as rules see it. What is not known is empty.

    Names and ids are in the form of `composed`, as the texts of rules are: clients write both forms.
    """

    name: str = ""
    extension: str = ""
    """What is behind the last dot of the name, in lower case."""
    size: int = 0
    mime_type: str = ""
    """Guessed from the extension alone: the bytes prove what a file is, its name proves nothing."""
    user_id: str = ""
    space_id: str = ""
    storage_id: str = ""
    initiator_id: str = ""


def named(name: str, *, size: int = 0, **ids: str) -> Facts:
    """The facts of a file with this name, which may be in any form."""
    name = composed(name)
    extension = extension_of(name)
    known = {each: composed(value) for each, value in ids.items()}
    return Facts(name=name, extension=extension, size=size, mime_type=type_of(extension), **known)


def facts_of(origin: Origin, file: FileInfo) -> Facts:
    """The facts of an upload: what the storage has sent, also what a setting keeps out of the resource."""
    size = _read(origin.filesize)
    name = _read(origin.filename)
    known = file_info(
        name if isinstance(name, str) else "",
        size if isinstance(size, int) else 0,
        _read(origin.executing_user),
        _read(origin.resource_id),
    )
    return named(
        known.filename or file.filename,
        size=known.filesize or file.filesize,
        user_id=known.user_id or file.user_id,
        space_id=known.space_id or file.space_id,
        storage_id=known.storage_id or file.storage_id,
        initiator_id=origin.initiator_id,
    )


def _read(raw: str) -> object:
    try:
        return loads(raw)
    except ValueError:  # it was read when it arrived, so only a damaged sealed part leads here
        return None
