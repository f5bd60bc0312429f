"""The format itself: what is whole opens to what was sealed, and nothing else opens."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.storage.framing import (
    FRAME_BYTES,
    HEADER_BYTES,
    SEALED_BYTES,
    TAG_BYTES,
    FrameCipher,
    Header,
    frames_of,
    plain_bytes,
    stored_bytes,
)
from tenancy.analytics.storage.location import Location

PLACE = Location("tenant_001", "plays", "segments/1.parquet")
TENANT_KEY = bytes(range(32))

sizes = st.one_of(
    st.integers(0, 3 * FRAME_BYTES),
    st.builds(lambda frames, off: max(0, frames * FRAME_BYTES + off), st.integers(0, 1 << 20), st.integers(-20, 20)),
)


def opened(stored: bytes, place: Location = PLACE, tenant_key: bytes = TENANT_KEY) -> bytes:
    header = Header.decode(stored[:HEADER_BYTES], place)
    cipher = FrameCipher.unwrap(place, header, tenant_key)
    body = stored[HEADER_BYTES:]
    pieces = [body[start : start + SEALED_BYTES] for start in range(0, len(body), SEALED_BYTES)]
    return b"".join(cipher.open(i, i == len(pieces) - 1, piece) for i, piece in enumerate(pieces))


def sealed(plain: bytes, place: Location = PLACE) -> bytes:
    header, cipher = FrameCipher.create(place, 1, TENANT_KEY)
    return bytes(cipher.seal(header, plain))


@given(sizes)
def test_the_size_of_the_plaintext_follows_from_the_size_of_the_file(size: int) -> None:
    assert plain_bytes(stored_bytes(size)) == size


@given(st.integers(0, 5 * SEALED_BYTES))
def test_a_size_belongs_to_exactly_one_plaintext_or_is_refused(stored: int) -> None:
    try:
        size = plain_bytes(stored)
    except ValueError as error:
        assert str(stored) in str(error)  # noqa: PT017 - both outcomes are right, for different sizes
        assert all(stored_bytes(near) != stored for near in range(max(0, stored - 200), stored))
    else:
        assert stored_bytes(size) == stored


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 700_000])
def test_what_was_sealed_opens(size: int) -> None:
    plain = os.urandom(size)
    file = sealed(plain)
    assert len(file) == stored_bytes(size) == HEADER_BYTES + size + TAG_BYTES * frames_of(size)
    assert opened(file) == plain


def test_the_same_plaintext_is_never_the_same_file() -> None:
    assert sealed(b"x" * 100)[HEADER_BYTES:] != sealed(b"x" * 100)[HEADER_BYTES:]


@given(st.integers(0, HEADER_BYTES * 8 - 1))
def test_any_bit_of_the_header_matters(bit: int) -> None:
    file = bytearray(sealed(b"hello"))
    file[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityError, match=PLACE.url):
        opened(bytes(file))


@given(st.data())
def test_any_bit_of_the_body_matters(data: st.DataObject) -> None:
    file = bytearray(sealed(b"y" * (FRAME_BYTES + 50)))
    bit = data.draw(st.integers(HEADER_BYTES * 8, len(file) * 8 - 1))
    file[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityError, match="frame"):
        opened(bytes(file))


def test_frames_in_another_order_do_not_open() -> None:
    file = sealed(os.urandom(3 * FRAME_BYTES))
    frames = [file[HEADER_BYTES + i * SEALED_BYTES : HEADER_BYTES + (i + 1) * SEALED_BYTES] for i in range(3)]
    with pytest.raises(IntegrityError, match="frame 0"):
        opened(file[:HEADER_BYTES] + frames[1] + frames[0] + frames[2])


def test_a_file_cut_at_the_border_of_a_frame_does_not_open() -> None:
    file = sealed(os.urandom(3 * FRAME_BYTES))
    with pytest.raises(IntegrityError, match="frame 1"):
        opened(file[: HEADER_BYTES + 2 * SEALED_BYTES])


def test_a_file_continued_with_frames_of_its_own_does_not_open() -> None:
    file = sealed(os.urandom(2 * FRAME_BYTES))
    with pytest.raises(IntegrityError, match="frame 1"):
        opened(file + file[-SEALED_BYTES:])


@pytest.mark.parametrize(
    "elsewhere",
    [
        Location("tenant_002", "plays", "segments/1.parquet"),
        Location("tenant_001", "songs", "segments/1.parquet"),
        Location("tenant_001", "plays", "segments/2.parquet"),
        Location("tenant_001", "plays", "segments/1.parque"),
    ],
)
def test_a_file_does_not_open_as_another(elsewhere: Location) -> None:
    with pytest.raises(IntegrityError, match=elsewhere.url):
        opened(sealed(b"hello"), elsewhere)


def test_names_that_join_to_the_same_text_are_still_different_files() -> None:
    with pytest.raises(IntegrityError):
        opened(sealed(b"hello", Location("a", "bc", "d")), Location("ab", "c", "d"))


def test_a_frame_of_another_file_with_the_same_name_does_not_fit() -> None:
    one, other = sealed(b"1" * 10), sealed(b"2" * 10)
    with pytest.raises(IntegrityError):
        opened(one[:HEADER_BYTES] + other[HEADER_BYTES:])


def test_the_key_of_another_tenant_does_not_unwrap() -> None:
    with pytest.raises(IntegrityError, match="does not open with its tenant's key"):
        opened(sealed(b"hello"), tenant_key=bytes(32))


def test_a_header_never_shows_the_wrapped_key() -> None:
    header = Header.decode(sealed(b"")[:HEADER_BYTES], PLACE)
    assert "wrapped_key" not in repr(header)
