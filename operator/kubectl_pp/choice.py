"""Which uploads a change is for; and the word when there are none."""

from kubectl_pp import selection
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UsageError
from kubectl_pp.upload import Upload


def choose(context: Context) -> tuple[list[Upload], str]:
    """The uploads of a verb that changes some, and the version of the list they come from, if of one.

    Raises:
        UsageError: nothing is chosen, or two ways of choosing exclude each other.
    """
    options = context.options
    narrowed = options.selector or options.field_selector or options.step or options.failed or options.stalled
    if options.names and (narrowed or options.all):
        raise UsageError("names and selectors are mutually exclusive")
    if options.all and narrowed:
        raise UsageError("--all and other selectors are mutually exclusive")
    if options.names:
        return selection.find_named(context, options.names), ""
    if not narrowed and not options.all:
        raise UsageError(
            "no upload is selected",
            f"a NAME, -l, --step, --stalled or --all; kubectl pp {options.verb} --help",
        )
    uploads, version = selection.find_all(context)
    return [upload for upload in uploads if not upload.ended] if options.all else uploads, version


def nothing_matched(context: Context) -> int:
    """Say that nothing was done, and why."""
    options = context.options
    place = "in any namespace" if context.namespace is None else f"in namespace {context.namespace}"
    step = f" in step {options.step}" if options.step else ""
    context.screen.note(f"nothing matched: no such upload{step} {place}")
    return ExitCode.OK
