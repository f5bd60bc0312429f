import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from serve_apps.bodies import inflate
from tenancy.analytics.errors import InvalidRequestError, PayloadTooLargeError

LIMIT = 1024 * 1024
REMEDY = "send less"


def compress(body: bytes, coding: str) -> bytes:
    return gzip.compress(body) if coding == "gzip" else zstandard.ZstdCompressor().compress(body)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(parts=st.lists(st.binary(max_size=500), max_size=5))
def test_several_members_are_one_body(coding: str, parts: list[bytes]) -> None:
    body = b"".join(compress(part, coding) for part in parts)
    assert inflate(body, coding, LIMIT, REMEDY) == b"".join(parts)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_of_exactly_the_limit_passes_and_one_more_byte_does_not(coding: str) -> None:
    assert len(inflate(compress(b"x" * LIMIT, coding), coding, LIMIT, REMEDY)) == LIMIT
    with pytest.raises(PayloadTooLargeError, match=REMEDY):
        inflate(compress(b"x" * (LIMIT + 1), coding), coding, LIMIT, REMEDY)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_given_up_at_the_limit(coding: str) -> None:
    bomb = compress(b"\0" * (256 * LIMIT), coding)
    tracemalloc.start()
    with pytest.raises(PayloadTooLargeError):
        inflate(bomb, coding, LIMIT, REMEDY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * LIMIT


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(cut=st.integers(1, 20))
def test_a_cut_body_is_an_error_and_never_a_shorter_one(coding: str, cut: int) -> None:
    whole = compress(b'{"action": "play_song"}\n' * 50, coding)
    with pytest.raises(InvalidRequestError, match=coding):
        inflate(whole[:-cut], coding, LIMIT, REMEDY)


def test_a_wrong_checksum_is_an_error() -> None:
    body = bytearray(gzip.compress(b"abc" * 100))
    body[-8:-4] = zlib.crc32(b"another").to_bytes(4, "little")
    with pytest.raises(InvalidRequestError):
        inflate(bytes(body), "gzip", LIMIT, REMEDY)


@pytest.mark.parametrize(("body", "coding"), [(b"not compressed", "gzip"), (gzip.compress(b"abc"), "zstd")])
def test_what_is_not_of_the_coding_is_an_error(body: bytes, coding: str) -> None:
    with pytest.raises(InvalidRequestError):
        inflate(body, coding, LIMIT, REMEDY)


def test_what_follows_the_last_member_is_an_error() -> None:
    with pytest.raises(InvalidRequestError):
        inflate(gzip.compress(b"abc") + b"trailing", "gzip", LIMIT, REMEDY)
