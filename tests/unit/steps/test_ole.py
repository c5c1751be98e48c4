"""What files of old Office programs are, whatever is embedded in them."""

import io
import struct
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.steps import Abort, Continue, Delete, Upload
from uploadpp.steps.markup import Guess
from uploadpp.steps.mime import guess
from uploadpp.steps.ole import OLE, OLE_MAGIC, ole_type
from uploadpp.steps.policies import Policies
from uploadpp.steps.rules import Rules, parse_rule

NO = 0xFFFFFFFF
END = 0xFFFFFFFE
FOLDER, STREAM, ROOT = 1, 2, 5
WORD, EXCEL = "application/msword", "application/vnd.ms-excel"
MAIL = "application/vnd.ms-outlook"


class Item(NamedTuple):
    name: str
    kind: int = STREAM
    left: int = NO
    right: int = NO
    child: int = NO

    def packed(self) -> bytes:
        text = self.name.encode("utf-16-le") + b"\0\0"
        head = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), self.kind, 1, *self[2:])
        return head.ljust(128, b"\0")


def root(child: int = 1) -> Item:
    return Item("Root Entry", ROOT, child=child)


def ole(*items: Item, before: int = 0, power: int = 9) -> bytes:
    """A file whose directory comes after so many other sectors and the tables."""
    size = 1 << power
    directory = b"".join(item.packed() for item in items)
    directory = directory.ljust(-(-len(directory) // size) * size, b"\0")
    count = len(directory) // size
    begin, per_table = before, size // 4
    needed = -(-(begin + count) // per_table)
    tables = [begin + count + number for number in range(needed)]
    links = [NO] * begin + [begin + number + 1 for number in range(count - 1)] + [END]
    links += [NO] * (needed * per_table - len(links))
    header = bytearray(size)
    header[:8] = OLE_MAGIC
    struct.pack_into("<H", header, 30, power)
    struct.pack_into("<I", header, 48, begin)
    listed = [*tables[:109], *[NO] * (109 - len(tables))]
    elsewhere = tables[109:]
    struct.pack_into("<II", header, 68, tables[-1] + 1 if elsewhere else END, 0)
    struct.pack_into("<109I", header, 76, *listed)
    file = bytes(header) + bytes(begin * size) + directory + struct.pack(f"<{len(links)}I", *links)
    if elsewhere:
        file += struct.pack(f"<{per_table}I", *elsewhere, *[NO] * (per_table - 1 - len(elsewhere)), END)
    return file


def found(content: bytes) -> Guess:
    return ole_type(io.BytesIO(content))


@pytest.mark.parametrize(
    ("stream", "mime"),
    [
        ("WordDocument", WORD),
        ("Workbook", EXCEL),
        ("Book", EXCEL),
        ("PowerPoint Document", "application/vnd.ms-powerpoint"),
        ("__properties_version1.0", MAIL),
        ("VisioDocument", "application/vnd.visio"),
        ("WORDDOCUMENT", WORD),
        ("wOrKbOoK", EXCEL),
        ("Contents", OLE),
    ],
)
@pytest.mark.parametrize("before", [0, 50, 300, 15_000])
@pytest.mark.parametrize("power", [9, 12])
def test_files_of_old_office_programs(stream: str, mime: str, before: int, power: int) -> None:
    """Also large ones, whose tables are listed outside of the header."""
    others = [Item(f"n{number}", right=number + 3) for number in range(40)]
    content = ole(root(), Item(stream, right=2), *others[:-1], Item("last"), before=before, power=power)
    assert found(content) == Guess(mime, sure=mime != OLE)


SHEET_WITH_TEXT = (
    root(),
    Item("Workbook", left=2),
    Item("MBD0001F2A3", FOLDER, child=3),
    Item("WordDocument"),
)
EMBEDDED = {
    "a sheet with a text": (SHEET_WITH_TEXT, EXCEL),
    "a text with a sheet": (
        (root(), Item("ObjectPool", FOLDER, right=2, child=3), Item("WordDocument"), Item("Workbook")),
        WORD,
    ),
    "a mail with a sheet": (
        (
            root(2),
            Item("Workbook"),
            Item("__properties_version1.0", right=3),
            Item("__attach", FOLDER, child=1),
        ),
        MAIL,
    ),
    "a sheet for two versions": ((root(), Item("Book", right=2), Item("Workbook")), EXCEL),
    "a stream that was removed": ((root(), Item("Workbook"), Item("WordDocument", 0)), EXCEL),
    "a folder with the name of a stream": (
        (root(), Item("Workbook", right=2), Item("WordDocument", FOLDER)),
        EXCEL,
    ),
    "another program with a sheet": ((root(), Item("Quill", FOLDER, child=2), Item("Workbook")), OLE),
    "a removed stream in the tree": ((root(), Item("WordDocument", 0)), OLE),
    "two programs in other letters": ((root(), Item("WORKBOOK", right=2), Item("worddocument")), OLE),
    "two programs": ((root(), Item("Workbook", right=2), Item("WordDocument")), OLE),
    "an empty root": ((root(NO),), OLE),
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_what_is_embedded_does_not_count(name: str) -> None:
    items, mime = EMBEDDED[name]
    assert found(ole(*items)) == Guess(mime, sure=mime != OLE)


async def test_a_sheet_with_a_text_is_not_deleted_as_a_text() -> None:
    rules = Policies(Rules(rules=(parse_rule(f"delete mime={WORD}"),)))
    assert isinstance(await rules.check(Upload.of(ole(*SHEET_WITH_TEXT))), Continue)
    rules = Policies(Rules(rules=(parse_rule(f"delete mime={EXCEL}"), parse_rule(f"abort mime={OLE}"))))
    assert isinstance(await rules.check(Upload.of(ole(*SHEET_WITH_TEXT))), Delete)
    assert isinstance(await rules.check(Upload.of(ole(*EMBEDDED["two programs"][0]))), Abort)


BROKEN = {
    "no root": (Item("Root Entry", FOLDER, child=1), Item("WordDocument")),
    "a child beyond the end": (root(900), Item("WordDocument")),
    "a sibling beyond the end": (root(), Item("WordDocument", right=900)),
    "a circle": (root(), Item("WordDocument", right=2), Item("a", left=1)),
    "its own sibling": (root(), Item("WordDocument", left=1)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_directory_that_cannot_be_read_tells_nothing(name: str) -> None:
    assert found(ole(*BROKEN[name])) == Guess(OLE, sure=False)


def test_a_directory_without_end_is_not_read_for_ever() -> None:
    content = bytearray(ole(root(), Item("WordDocument")))
    struct.pack_into("<I", content, 1024, 0)  # the sector comes after itself
    assert found(bytes(content)) == Guess(WORD, sure=True)
    struct.pack_into("<I", content, 68, 1)  # so does the list of tables
    assert found(bytes(content)) == Guess(WORD, sure=True)


async def test_a_file_that_is_cut_off_is_not_known_for_sure() -> None:
    whole = ole(*SHEET_WITH_TEXT, before=50)
    for length in (8, 100, 511, 512, 20_000, len(whole) - 1):
        async with Upload.of(whole[:length]).open() as content:
            assert await guess(content) in {Guess(OLE, sure=False), Guess(EXCEL, sure=True)}


@given(st.integers(0, 1535), st.binary(min_size=1, max_size=8))
def test_no_broken_file_ends_in_an_error(at: int, data: bytes) -> None:
    content = bytearray(ole(*SHEET_WITH_TEXT))
    content[at : at + len(data)] = data
    assert "/" in found(bytes(content)).mime
