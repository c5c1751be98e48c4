"""Headers of messages, which anybody may write who publishes: they take no time (S1)."""

import time

import pytest

from uploadpp.wire.client import MOST_HEADER_BYTES, SafeClient

SIZE = 900_000
"""Nearly as much as the server takes."""


@pytest.mark.parametrize("part", [b"A: b\r\n", b"A: b\r\n c\r\n", b"x\r\n", b":", b"A%d: b\r\n"])
async def test_s1_headers_of_a_megabyte_take_no_time(part: bytes) -> None:
    lines = [part % number if b"%d" in part else part for number in range(SIZE // len(part))]
    headers = b"NATS/1.0\r\n" + b"".join(lines) + b"\r\n\r\n"
    took = []
    for _ in range(3):  # during any of them garbage may be collected
        began = time.thread_time()
        assert await SafeClient(None)._process_headers(headers) is None
        took.append(time.thread_time() - began)
    assert min(took) < 0.02, took


async def test_headers_of_a_usual_size_are_read() -> None:
    headers = b"NATS/1.0\r\nNats-Msg-Id: x\r\nA: " + b"y" * (MOST_HEADER_BYTES // 2) + b"\r\n\r\n"
    found = await SafeClient(None)._process_headers(headers)
    assert found is not None
    assert found["Nats-Msg-Id"] == "x"
