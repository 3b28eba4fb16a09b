"""Sparse memory against a plain one."""

from hypothesis import given
from hypothesis import strategies as st

from spinnaker_virtual.memory import SparseMemory

SIZE = 1 << 12
OFFSETS = st.integers(0, SIZE - 1)


def writes() -> st.SearchStrategy[list[tuple[int, bytes]]]:
    return st.lists(
        OFFSETS.flatmap(
            lambda offset: st.tuples(st.just(offset), st.binary(max_size=min(600, SIZE - offset)))
        ),
        max_size=20,
    )


def fresh(page: int) -> bytes | None:
    return bytes([page]) * 64 if page % 3 else None


def model() -> bytearray:
    return bytearray(b"".join(fresh(page) or bytes(64) for page in range(SIZE // 64)))


@given(writes(), OFFSETS, st.integers(0, 700))
def test_what_was_written_is_read_back_and_all_else_is_as_it_was(
    written: list[tuple[int, bytes]], offset: int, length: int
) -> None:
    memory, plain = SparseMemory(SIZE, fresh, page_bits=6), model()
    for place, data in written:
        memory.write(place, data)
        plain[place : place + len(data)] = data
    length = min(length, SIZE - offset)
    assert memory.read(offset, length) == plain[offset : offset + length]


@given(writes(), st.integers(0, SIZE // 4 - 1), st.integers(0, 300), st.integers(0, 0xFFFFFFFF))
def test_a_fill_writes_the_word_over_and_over(
    written: list[tuple[int, bytes]], start: int, words: int, word: int
) -> None:
    memory, plain = SparseMemory(SIZE, fresh, page_bits=6), model()
    for place, data in written:
        memory.write(place, data)
        plain[place : place + len(data)] = data
    words = min(words, SIZE // 4 - start)
    memory.fill(4 * start, word, words)
    plain[4 * start : 4 * (start + words)] = word.to_bytes(4, "little") * words
    assert memory.read(0, SIZE) == plain


@given(writes(), writes(), writes(), OFFSETS, st.integers(0, SIZE))
def test_a_copy_is_a_copy_whatever_is_written_on_either_side_afterwards(
    first: list[tuple[int, bytes]],
    later: list[tuple[int, bytes]],
    elsewhere: list[tuple[int, bytes]],
    offset: int,
    length: int,
) -> None:
    length = min(length, SIZE - offset)
    source, target = SparseMemory(SIZE, fresh, page_bits=6), SparseMemory(SIZE, page_bits=6)
    plain_source, plain_target = model(), bytearray(SIZE)
    for place, data in first:
        source.write(place, data)
        plain_source[place : place + len(data)] = data
    target.copy(source, offset, length)
    plain_target[offset : offset + length] = plain_source[offset : offset + length]
    for place, data in later:
        source.write(place, data)
        plain_source[place : place + len(data)] = data
    for place, data in elsewhere:
        target.write(place, data)
        plain_target[place : place + len(data)] = data
    assert source.read(0, SIZE) == plain_source
    assert target.read(0, SIZE) == plain_target


def test_memory_takes_room_only_where_something_was_written() -> None:
    memory = SparseMemory(128 << 20)
    memory.read(5 << 20, 256)
    memory.write(100 << 20, b"x")
    assert len(memory.freeze()) == 1
