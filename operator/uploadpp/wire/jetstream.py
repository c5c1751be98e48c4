"""JetStream's API, made safe for answers that contain what other clients have written.

Anybody who may make a consumer on the stream, by whatever name, chooses the times in its settings, and the
server hands them on. The library reads no time with a fraction and an offset west of Greenwich, nor one
that UTC cannot hold, and raises. One such consumer would then keep everybody from listing them all.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, RawStreamMsg, StreamConfig, StreamInfo, StreamState
from nats.js.errors import APIError, ServiceUnavailableError
from nats.js.manager import JetStreamManager

from uploadpp.wire.server_time import ServerTime
from uploadpp.wire.silence import UNAVAILABLE_CODE, Silence

_TIMES = frozenset({"created", "last_active", "leader_since", "opt_start_time", "pause_until", "time", "ts"})
_FRACTION = re.compile(r"\.([0-9]{1,6})[0-9]*+")
_FIRST, _LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
_COUNTS = frozenset(
    {"ack_wait", "consumer_seq", "first_seq", "inactive_threshold", "last_seq", "max_ack_pending", "seq"}
    | {"max_deliver", "num_ack_pending", "num_pending", "num_waiting", "opt_start_seq", "stream_seq"}
)
_TEXTS = frozenset({"deliver_subject", "durable_name", "filter_subject", "name", "stream_name"})
_KINDS: dict[str, type] = (
    dict.fromkeys(_COUNTS, int)
    | dict.fromkeys(_TEXTS, str)
    | dict.fromkeys(("headers_only", "paused", "push_bound"), bool)
    | dict.fromkeys(("ack_floor", "delivered", "message", "state"), dict)
)
"""Fields that we go by. Anybody who may subscribe to `$JS.API.>` may answer instead of the server."""
_LISTS: dict[str, tuple[type, ...]] = {
    "backoff": (int,),
    "filter_subjects": (str,),
    "consumers": (dict, str),
    "missing": (str,),
}
MOST_NESTED = 32
_ABOUT_A_STREAM = ".STREAM.INFO."
T = TypeVar("T")
_LATE = "5000"
"""A time that no date can hold in UTC is one of the two, and they are far apart."""


class Lists(Protocol):
    """What a client has learned of the size of lists (`wire.listing.ListMemory`)."""

    @property
    def is_large(self) -> bool:
        """Whether only names are to be listed."""

    def large(self) -> None:
        """The list is large."""

    def cut_off(self) -> bool:
        """The connection was lost while we waited for the list; returns whether that has happened before."""

    def fine(self) -> None:
        """The list has come."""


@runtime_checkable
class Listener(Protocol):
    """Is told which requests JetStream has answered (`wire.client.SafeClient`)."""

    silence: Silence
    server_time: ServerTime

    def not_answered(self) -> None:
        """One had no answer."""


class SafeJetStream(JetStreamContext):
    """The library's, for answers that hold anything. What cannot be read is an error of NATS."""

    largest = 0
    """Bytes of the largest answer."""

    @property
    def connections(self) -> int:
        """Number of reconnects, including a connection that is lost at the moment."""
        return int(self._nc.stats["reconnects"]) + (not self._nc.is_connected)

    @property
    def lists(self) -> "Lists | None":
        """What the client has learned of the size of lists."""
        return getattr(self._nc, "lists", None)

    @property
    def _jsm(self) -> JetStreamManager:
        return self

    async def _api_request(self, req_subject: str, req: bytes = b"", timeout: float = 5) -> dict[str, Any]:  # noqa: ASYNC109 -- the library's
        with reading(req_subject):
            try:
                message = await self._nc.request(req_subject, req, timeout=timeout)
            except NoRespondersError as error:
                self._note(answered=False)
                raise ServiceUnavailableError from error
            except TimeoutError:
                self._note(answered=False)
                raise
            self.largest = max(self.largest, len(message.data))
            answer: Any = json.loads(message.data)
            if not isinstance(answer, dict):
                raise TypeError
            refusal = answer.get("error")
            is_cut_off = isinstance(refusal, dict) and refusal.get("err_code") == UNAVAILABLE_CODE
            self._note(answered=not is_cut_off and not _lacks_leader(answer))
            if refusal is not None:
                raise APIError.from_error(refusal)
            return self._dated(req_subject, readable(answer))

    def _dated(self, subject: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Tell the client when the leader of a stream has answered, who also gives messages their time."""
        at, is_of_leader = answer.get("ts"), _ABOUT_A_STREAM in subject and not _lacks_leader(answer)
        if isinstance(at, str) and is_of_leader and isinstance(self._nc, Listener):
            self._nc.server_time.heard(at)
        return answer

    def _note(self, *, answered: bool) -> None:
        """Tell the client whether JetStream has answered."""
        if not isinstance(self._nc, Listener):
            return
        if answered:
            self._nc.silence.answered()
        else:
            self._nc.not_answered()

    async def stream_info(self, name: str, subjects_filter: str | None = None) -> StreamInfo:
        """The settings and the state of a stream."""
        with reading(name):
            return _whole_stream(_led(await super().stream_info(name, subjects_filter)))

    async def add_stream(self, config: StreamConfig | None = None, **params: Any) -> StreamInfo:  # noqa: ANN401 -- the library's
        """Make a stream."""
        with reading("a stream"):
            return _whole_stream(await super().add_stream(config, **params))

    async def consumer_info(self, stream: str, consumer: str, timeout: float | None = None) -> ConsumerInfo:  # noqa: ASYNC109 -- the library's
        """The settings and the state of a consumer."""
        with reading(consumer):
            return _whole(_led(await super().consumer_info(stream, consumer, timeout)))

    async def consumers_info(self, stream: str, offset: int | None = None) -> list[ConsumerInfo]:
        """A page of the consumers of a stream, as far as their leaders answer."""
        return (await self.consumer_page(stream, offset or 0))[0]

    async def consumer_page(self, stream: str, offset: int) -> tuple[list[ConsumerInfo], list[str]]:
        """A page of the consumers of a stream, and the names of those in it whose leaders do not answer."""
        request = json.dumps({"offset": offset}).encode()
        with reading(stream):
            answer = await self._api_request(f"{self._prefix}.CONSUMER.LIST.{stream}", request, self._timeout)
            found = [_whole(ConsumerInfo.from_response(each)) for each in answer["consumers"] or ()]
            return found, [*(answer.get("missing") or ()), *(answer.get("offline") or ())]

    async def consumer_names(self, stream: str, offset: int) -> list[str]:
        """A page of the names of the consumers of a stream."""
        request = json.dumps({"offset": offset}).encode()
        with reading(stream):
            answer = await self._api_request(
                f"{self._prefix}.CONSUMER.NAMES.{stream}", request, self._timeout
            )
            names = answer.get("consumers") or []
            if not all(isinstance(each, str) for each in names):
                raise TypeError
            return list(names)

    async def add_consumer(self, *given: Any, **params: Any) -> ConsumerInfo:  # noqa: ANN401 -- the library's
        """Make a consumer."""
        with reading("a consumer"):
            return _whole(await super().add_consumer(*given, **params))

    async def delete_consumer(self, stream: str, consumer: str) -> bool:
        """Remove a consumer."""
        with reading(consumer):
            return bool(await super().delete_consumer(stream, consumer))

    async def get_msg(self, *given: Any, **params: Any) -> RawStreamMsg:  # noqa: ANN401 -- the library's
        """A message of a stream."""
        with reading("a message"):
            return await super().get_msg(*given, **params)


class NoLeaderError(NatsError):
    """A stream or consumer has no leader. Then any of its servers answers, also one that lags behind."""

    def __str__(self) -> str:
        return "nats: a stream or consumer has no leader: most of its servers are down, or elect one"


def _lacks_leader(answer: dict[str, Any]) -> bool:
    cluster = answer.get("cluster")
    return isinstance(cluster, dict) and not cluster.get("leader")


def _led(info: T) -> T:
    """Something about a stream or a consumer, as its leader knows it."""
    cluster = getattr(info, "cluster", None)
    if cluster is not None and not cluster.leader:
        raise NoLeaderError
    return info


def _whole(info: Any) -> ConsumerInfo:  # noqa: ANN401 -- the library believes what it is told
    """Something about a consumer, with what the server always says of one."""
    if not isinstance(info.config, ConsumerConfig) or not isinstance(info.created, datetime):
        raise TypeError
    whole: ConsumerInfo = info
    return whole


def _whole_stream(info: Any) -> StreamInfo:  # noqa: ANN401 -- as above
    if not isinstance(info.config, StreamConfig) or not isinstance(info.state, StreamState):
        raise TypeError
    whole: StreamInfo = info
    return whole


@contextmanager
def reading(what: str) -> Iterator[None]:
    """What the library stumbles over in an answer is an error of NATS, which all who ask expect."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NatsError(f"nats: the JetStream response about {what} cannot be read") from error


def readable(answer: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """An answer with times that the library can read.

    Raises:
        TypeError: a field has another type than JetStream gives it, or is nested too deep.
    """
    if depth > MOST_NESTED:
        raise TypeError(depth)
    for name, value in answer.items():
        kind = _KINDS.get(name)
        if kind is not None and type(value) is not kind:
            raise TypeError(name)
        if name in _LISTS and value is not None and not _is_list_of(_LISTS[name], value):
            raise TypeError(name)
        if name in _TIMES and isinstance(value, str):
            answer[name] = in_utc(value)
        elif name == "metadata":
            _check_words(value)  # of others, and none of these are times
        elif isinstance(value, dict):
            readable(value, depth + 1)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    readable(each, depth + 1)
    return answer


def _is_list_of(kinds: tuple[type, ...], value: object) -> bool:
    return isinstance(value, list) and all(type(each) in kinds for each in value)


def _check_words(value: object) -> None:
    if value is not None and not (
        isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    ):
        raise TypeError("metadata")


def in_utc(text: str) -> str:
    """A time in UTC; the first or the last moment where UTC cannot hold it, or it is not a time."""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text, count=1))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return _LAST if text[: len(_LATE)] >= _LATE else _FIRST
