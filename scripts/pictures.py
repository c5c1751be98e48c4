"""Writes docs/pictures/ui-*.png: `kubectl pp ui --demo` in a real Chromium, packed as small as PNG goes."""

import struct
import sys
import tempfile
import threading
import zlib
from argparse import Namespace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "operator"), str(ROOT)]

from kubectl_pp.ui.answers import Answers  # noqa: E402 -- found through the path just set
from kubectl_pp.ui.commands import Commands  # noqa: E402
from kubectl_pp.ui.demo import Demo  # noqa: E402
from kubectl_pp.ui.server import Server  # noqa: E402
from tests.plugin.browser import Browser, browser  # noqa: E402

TARGET = ROOT / "docs/pictures"
MOST_BYTES = 120_000


def main() -> None:
    """Take three."""
    demo = Demo(moving=False)
    demo.start()
    place = {"demo": True, "namespace": "ocis", "context": "prod", "selected": False}
    server = Server(Answers(demo, Commands(Namespace(context="prod"), "ocis"), place))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as window:
        window.look(width=1180, height=920)
        window.open(server.url)
        window.until("document.querySelectorAll('#rows tr').length > 0 && document.querySelector('figure')")
        shoot(window, "ui-overview")
        window.look(width=1180, height=860, dark=True)
        for key in ("j", "j", "Enter"):
            window.press(key)
        window.until("document.querySelector('#detail .standing')")
        shoot(window, "ui-upload")
        window.press("Escape")
        window.look(width=360, height=740)
        window.run("location.hash = '#view=attention'")
        window.until("document.getElementById('found').textContent === '6 uploads found'")
        window.run("document.getElementById('list-title').scrollIntoView()")
        shoot(window, "ui-narrow")
    server.shutdown()
    server.server_close()


def shoot(window: Browser, name: str) -> None:
    """One picture, with at most 256 colours."""
    path = TARGET / f"{name}.png"
    window.picture(path)
    path.write_bytes(packed(path.read_bytes()))
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"{path.name} is larger than {MOST_BYTES:,} bytes")


def packed(png: bytes) -> bytes:
    """The same picture with a palette: rare colours become the nearest one of the 256 most frequent."""
    width, height, pixels = _read(png)
    rounded = [(r & 0xFC, g & 0xFC, b & 0xFC) for r, g, b in pixels]
    exact: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    many: dict[tuple[int, int, int], int] = {}
    for key, pixel in zip(rounded, pixels, strict=True):
        many[key] = many.get(key, 0) + 1
        exact.setdefault(key, pixel)
    chosen = sorted(many, key=lambda key: -many[key])[:256]
    place = {key: at for at, key in enumerate(chosen)}
    for key in many:
        if key not in place:
            near = min(chosen, key=lambda it: sum((a - b) ** 2 for a, b in zip(it, key, strict=True)))
            place[key] = place[near]
    palette = b"".join(bytes(exact[key]) for key in chosen)
    lines = b"".join(
        b"\0" + bytes(place[key] for key in rounded[row * width : (row + 1) * width]) for row in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content)
        for kind, content in (
            (b"IHDR", head),
            (b"PLTE", palette),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _read(png: bytes) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Width, height and pixels of a PNG of eight bits a channel, as Chromium writes it."""
    at, data, width, height, channels = 8, b"", 0, 0, 3
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        content = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, _, color = struct.unpack(">IIBB", content[:10])
            channels = 4 if color == 6 else 3  # noqa: PLR2004 -- with alpha
        elif kind == b"IDAT":
            data += content
        at += length + 12
    raw, stride = zlib.decompress(data), width * channels
    before, pixels = bytearray(stride), []
    for row in range(height):
        begin = row * (stride + 1)
        line = _unfiltered(raw[begin], bytearray(raw[begin + 1 : begin + 1 + stride]), before, channels)
        pixels += [(line[x], line[x + 1], line[x + 2]) for x in range(0, stride, channels)]
        before = line
    return width, height, pixels


def _unfiltered(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    for x in range(len(line)):
        left = line[x - step] if x >= step else 0
        corner = above[x - step] if x >= step else 0
        if kind == 1:
            line[x] = (line[x] + left) & 255
        elif kind == 2:  # noqa: PLR2004 -- as the format numbers its filters
            line[x] = (line[x] + above[x]) & 255
        elif kind == 3:  # noqa: PLR2004 -- same
            line[x] = (line[x] + (left + above[x]) // 2) & 255
        elif kind == 4:  # noqa: PLR2004 -- same
            line[x] = (line[x] + _paeth(left, above[x], corner)) & 255
    return line


def _paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))
    return near[2]


if __name__ == "__main__":
    main()
