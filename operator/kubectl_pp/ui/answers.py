"""What the page asks for, from its parameters to JSON; knows nothing of HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from kubectl_pp.errors import MissingError, PluginError
from kubectl_pp.sanitize import Json
from kubectl_pp.screen import harmless
from kubectl_pp.ui import filters
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.detail import describe
from kubectl_pp.ui.model import Key
from kubectl_pp.ui.source import Source
from kubectl_pp.ui.stream import Stream, event
from uploadpp import __version__

LONGEST_NAME = 253
"""Of a resource."""


class Answers:
    """Reads one source."""

    def __init__(self, source: Source, commands: Commands, place: Json) -> None:
        self._source, self._commands = source, commands
        self._place = {**place, "version": __version__}

    def live(self, params: dict[str, str]) -> Iterator[bytes]:
        """The events for a page with these filters."""
        model = self._source.model
        model.read_by(1)
        try:
            hello = {**self._place, "now": time.time()}
            yield event("hello", json.dumps(hello))
            stream = Stream(model, filters.read(params), _key(params.get("open", "")), self._commands)
            yield from stream.messages()
        finally:
            model.read_by(-1)

    def upload(self, params: dict[str, str]) -> Json:
        """One upload.

        Raises:
            PluginError: it cannot be read.
        """
        key = _key(params.get("open", ""))
        if key is None:
            raise MissingError("no upload is given")
        if not self._source.model.stamp(key):
            raise MissingError(f"upload {key[1]} is not among those shown")
        upload = self._source.upload(*key)
        return describe(upload, self._source.events(upload), self._commands, time.time())

    def problem(self, error: PluginError) -> Json:
        """An error as the page shows it."""
        return {"error": harmless(str(error)), "remedy": harmless(error.remedy)}


def _key(text: str) -> Key | None:
    """A namespace and a name as one parameter; they go into a path, so they are what Kubernetes takes."""
    namespace, _, name = text.partition("/")
    return (namespace, name) if _is_name(namespace) and _is_name(name) else None


def _is_name(text: str) -> bool:
    allowed = text.replace("-", "").replace(".", "")
    return 0 < len(text) <= LONGEST_NAME and allowed.isascii() and allowed.isalnum() and text == text.lower()
