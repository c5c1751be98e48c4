"""`status`: what happens to an upload, and what a person can do about it."""

from __future__ import annotations

import time

from kubectl_pp import selection
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, PluginError
from kubectl_pp.objects import print_named
from kubectl_pp.upload import Upload
from kubectl_pp.verbs.events import events_of
from kubectl_pp.view import render


def run(context: Context) -> int:
    """Print one status after the other."""
    uploads = selection.find_named(context, context.options.names)
    if context.options.output:
        print_named(uploads, context.options.names, context.options.output)
        return ExitCode.OK
    for upload in uploads:
        if upload is not uploads[0]:
            context.screen.line()
        context.screen.lines(render(context, upload, readable_events(context, upload), time.time()))
    return ExitCode.OK


def readable_events(context: Context, upload: Upload) -> list[Json] | None:
    """The upload's Events; None if they may not be read: the rest is still worth seeing."""
    try:
        return events_of(context.client, upload.namespace, upload)
    except PluginError:
        return None
