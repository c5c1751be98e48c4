"""Lines are split wherever the pieces of a stream end, and the age of an incomplete one is known."""

import pytest

from uploadpp.core.line_buffer import LineBuffer


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_are_the_same_whatever_the_pieces(size: int) -> None:
    text, buffer = b"one\n\nthree\nfo", LineBuffer()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = [line for piece in pieces for line in buffer.feed(piece, 0.0)]
    assert (found, buffer.rest, len(buffer)) == ([b"one", b"", b"three"], b"fo", 2)


def test_the_age_is_that_of_the_first_byte_of_a_line() -> None:
    buffer = LineBuffer()
    assert buffer.age(9.0) == 0.0
    buffer.feed(b"a", 10.0)
    buffer.feed(b"b", 12.0)
    assert buffer.age(13.0) == 3.0
    assert buffer.feed(b"\nc", 14.0) == [b"ab"]
    assert buffer.age(15.0) == 1.0
    assert buffer.feed(b"\n", 16.0) == [b"c"]
    assert buffer.age(20.0) == 0.0
