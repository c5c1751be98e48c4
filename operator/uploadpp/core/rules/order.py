"""Releases of one file, in the order in which its uploads arrived (docs/adr/0052).

An upload that is to be released while an earlier one of its file is under way waits in AwaitingTurn. Who is
earlier is known to `pipeline.file_order`, which tells it here. `abort` and `delete` do not wait: nothing of
the file is replaced by them.
"""

from uploadpp.core import event_texts
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Follows, Foremost, Tick
from uploadpp.core.model import FileOrder, Millis, Upload
from uploadpp.core.states import Ignored, Outcome
from uploadpp.core.transitions import as_edited, finish


def follows(upload: Upload, seen: Follows, now: Millis, config: Config) -> Decision:
    """Another upload of the file is released first, or another one than before."""
    del now, config
    order = placed(upload.order, seen)
    if order == upload.order:
        return ignore(upload, Ignored.DUPLICATE, f"it is known to follow {seen.upload_id}, or has been over")
    return Decision(evolve(upload, order=order))


def placed(order: FileOrder, seen: Follows) -> FileOrder:
    """Where an upload stands once an earlier one of its file was seen."""
    if order.left:
        return order
    return FileOrder(seen.upload_id, order.arrival or seen.arrival)


def foremost(upload: Upload, seen: Foremost, now: Millis, config: Config) -> Decision:
    """Release the file, unless an edit that nobody has seen yet suspends or cancels the upload."""
    del seen, config
    edited = as_edited(upload, now)
    return edited if edited is not None else finish(upload, Outcome.CONTINUE, now)


def waited_long_enough(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """The earlier upload takes too long: release the file anyway, and report it."""
    del tick
    if now < upload.since + config.order_timeout:
        return ignore(upload, Ignored.NOTHING_DUE, "no timer is due")
    notice = event_texts.released_out_of_order(upload.order.after, config.order_timeout)
    return evolve(finish(upload, Outcome.CONTINUE, now), notices=(notice,))
