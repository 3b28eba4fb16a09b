"""Sparse memory: only pages that were written take up memory.

It takes offsets; see scamp/chip.py for a chip's address space.
"""

from collections.abc import Callable
from struct import Struct

_WORD = Struct("<I")

Fresh = Callable[[int], bytes | None]
"""Returns the content of a page, by number, before anything is written to it; None for zeros."""


def _zeros(_: int) -> None:
    return None


class SparseMemory:
    """Memory in pages, which are stored once they have been written.

    A page that several memories share is one immutable `bytes`; a memory copies it before writing to it.
    """

    __slots__ = ("_fresh", "_page_bits", "_pages", "size")

    def __init__(self, size: int, fresh: Fresh = _zeros, page_bits: int = 12) -> None:
        """Make a memory.

        Args:
            size: Bytes; a power of two.
            fresh: The initial content of pages.
            page_bits: A page has 2 to the power of `page_bits` bytes.
        """
        self.size = size
        self._fresh = fresh
        self._page_bits = page_bits
        self._pages: dict[int, bytes | bytearray] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; both lie within the memory."""
        bits = self._page_bits
        page = offset >> bits
        start = offset - (page << bits)
        end = start + length
        if end <= 1 << bits:
            content = self._pages.get(page) or self._fresh(page)
            return bytes(length) if content is None else bytes(content[start:end])
        pieces = []
        while length:
            part = min(length, (((offset >> bits) + 1) << bits) - offset)
            pieces.append(self.read(offset, part))
            offset += part
            length -= part
        return b"".join(pieces)

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` at `offset`; all of it lies within the memory."""
        bits = self._page_bits
        page = offset >> bits
        start = offset - (page << bits)
        end = start + len(data)
        if end <= 1 << bits:
            self._own(page)[start:end] = data
            return
        part = (1 << bits) - start
        self.write(offset, data[:part])
        self.write(offset + part, data[part:])

    def fill(self, offset: int, word: int, words: int) -> None:
        """Write a word of 32 bits `words` times from `offset`."""
        pattern = _WORD.pack(word)
        bits = self._page_bits
        length = words * _WORD.size
        whole = pattern * ((1 << bits) // _WORD.size)
        while length:
            page = offset >> bits
            start = offset - (page << bits)
            part = min(length, (1 << bits) - start)
            if part == 1 << bits:
                self._pages[page] = whole
            else:
                self._own(page)[start : start + part] = (pattern * (part // _WORD.size + 1))[:part]
            offset += part
            length -= part

    def read_word(self, offset: int) -> int:
        """Return the word of 32 bits at `offset`."""
        word: int = _WORD.unpack(self.read(offset, _WORD.size))[0]
        return word

    def write_word(self, offset: int, word: int) -> None:
        """Write a word of 32 bits at `offset`."""
        self.write(offset, _WORD.pack(word))

    def copy(self, source: "SparseMemory", offset: int, length: int) -> None:
        """Copy `length` bytes at `offset` from another memory with the same page size, sharing whole pages."""
        bits = self._page_bits
        end = offset + length
        while offset < end:
            page = offset >> bits
            part = min(end, (page + 1) << bits) - offset
            if part == 1 << bits:
                self._share(source, page)
            else:
                self.write(offset, source.read(offset, part))
            offset += part

    def freeze(self) -> dict[int, bytes]:
        """Return all pages written so far, by number."""
        return {page: bytes(content) for page, content in self._pages.items()}

    def _share(self, source: "SparseMemory", page: int) -> None:
        content = source._pages.get(page)
        if content is None:
            fresh = source._fresh(page)
            content = bytes(1 << self._page_bits) if fresh is None else fresh
        elif isinstance(content, bytearray):
            content = source._pages[page] = bytes(content)
        self._pages[page] = content

    def _own(self, page: int) -> bytearray:
        content = self._pages.get(page)
        if not isinstance(content, bytearray):
            if content is None:
                content = self._fresh(page)
            content = bytearray(1 << self._page_bits) if content is None else bytearray(content)
            self._pages[page] = content
        return content
