"""Whoever can change the disk can destroy files, but cannot make any be read as something they are not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.framing import FRAME_BYTES, HEADER_BYTES, SEALED_BYTES
from tenancy.analytics.testing import MemoryKeys

ONE = "tenancy://tenant_001/plays/segments/1.parquet"
TWO = "tenancy://tenant_001/plays/segments/2.parquet"
OTHER_DATASET = "tenancy://tenant_001/songs/segments/1.parquet"
OTHER_TENANT = "tenancy://tenant_002/plays/segments/1.parquet"

SIZE = 2 * FRAME_BYTES + 100
FILE_BYTES = HEADER_BYTES + SIZE + 3 * 16

Stored = Callable[[str], Path]
over_one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


@pytest.fixture(autouse=True)
def files(fs: EncryptedFileSystem) -> None:
    for url in (ONE, TWO, OTHER_DATASET, OTHER_TENANT):
        fs.write_durable(url, os.urandom(SIZE))


def assert_refused(fs: EncryptedFileSystem, url: str = ONE) -> None:
    with pytest.raises(IntegrityError) as caught, fs.open(url) as file:
        file.read()
    assert caught.value.path == url


@pytest.mark.parametrize("source", [TWO, OTHER_DATASET, OTHER_TENANT])
def test_a_file_in_the_place_of_another_is_refused(fs: EncryptedFileSystem, stored: Stored, source: str) -> None:
    shutil.copy(stored(source), stored(ONE))
    assert_refused(fs)
    assert len(fs.cat_file(source)) == SIZE


def test_two_files_swapped_are_both_refused(fs: EncryptedFileSystem, stored: Stored) -> None:
    one, two = stored(ONE).read_bytes(), stored(TWO).read_bytes()
    stored(ONE).write_bytes(two)
    stored(TWO).write_bytes(one)
    assert_refused(fs, ONE)
    assert_refused(fs, TWO)


def test_a_renamed_file_is_refused(fs: EncryptedFileSystem, stored: Stored) -> None:
    stored(ONE).rename(stored(ONE).with_name("3.parquet"))
    assert_refused(fs, "tenancy://tenant_001/plays/segments/3.parquet")


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_frame_of_another_file_is_refused(fs: EncryptedFileSystem, stored: Stored, frame: int) -> None:
    start = HEADER_BYTES + frame * SEALED_BYTES
    own, other = bytearray(stored(ONE).read_bytes()), stored(TWO).read_bytes()
    own[start : start + SEALED_BYTES] = other[start : start + SEALED_BYTES]
    stored(ONE).write_bytes(own)
    assert_refused(fs)


@over_one_file
@given(position=st.integers(0, FILE_BYTES - 1), mask=st.integers(1, 255))
def test_any_changed_byte_is_noticed(fs: EncryptedFileSystem, stored: Stored, position: int, mask: int) -> None:
    whole = stored(ONE).read_bytes()
    changed = bytearray(whole)
    changed[position] ^= mask
    stored(ONE).write_bytes(changed)
    try:
        assert_refused(fs)
    finally:
        stored(ONE).write_bytes(whole)
    assert len(fs.cat_file(ONE)) == SIZE


@over_one_file
@given(
    length=st.one_of(
        st.integers(0, FILE_BYTES - 1),
        st.sampled_from(
            [0, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + SEALED_BYTES, HEADER_BYTES + 2 * SEALED_BYTES]
        ),
    )
)
def test_any_truncation_is_noticed_when_the_file_is_opened(
    fs: EncryptedFileSystem, stored: Stored, length: int
) -> None:
    whole = stored(ONE).read_bytes()
    os.truncate(stored(ONE), length)
    try:
        with pytest.raises(IntegrityError) as caught:
            fs.open(ONE)
        assert caught.value.path == ONE
        assert fs.size(ONE) < SIZE  # a folder with a cut file can still be listed
        assert len(fs.ls("tenancy://tenant_001/plays/segments")) == 2
    finally:
        stored(ONE).write_bytes(whole)


@over_one_file
@given(extra=st.binary(min_size=1, max_size=100))
def test_any_continuation_is_noticed_when_the_file_is_opened(
    fs: EncryptedFileSystem, stored: Stored, extra: bytes
) -> None:
    with stored(ONE).open("ab") as file:
        file.write(extra)
    try:
        with pytest.raises(IntegrityError):
            fs.open(ONE)
    finally:
        os.truncate(stored(ONE), FILE_BYTES)


def test_a_file_cut_while_it_is_read_is_refused(fs: EncryptedFileSystem, stored: Stored) -> None:
    with fs.open(ONE) as file:
        os.truncate(stored(ONE), HEADER_BYTES + 1000)
        with pytest.raises(IntegrityError, match="shorter"):
            file.read()


def test_damage_to_one_frame_leaves_reads_of_others(fs: EncryptedFileSystem, stored: Stored) -> None:
    damaged = bytearray(stored(ONE).read_bytes())
    damaged[HEADER_BYTES + SEALED_BYTES + 5] ^= 1
    stored(ONE).write_bytes(damaged)
    with fs.open(ONE) as file:
        assert len(file.read(FRAME_BYTES)) == FRAME_BYTES
        with pytest.raises(IntegrityError, match="frame 1"):
            file.read(1)


def test_another_tenant_is_not_affected_by_damage(fs: EncryptedFileSystem, stored: Stored) -> None:
    stored(ONE).write_bytes(b"rubbish")
    assert_refused(fs)
    assert len(fs.cat_file(OTHER_TENANT)) == SIZE


def test_a_file_of_a_later_format_is_refused_by_its_number(fs: EncryptedFileSystem, stored: Stored) -> None:
    changed = bytearray(stored(ONE).read_bytes())
    changed[9] = 2
    stored(ONE).write_bytes(changed)
    with pytest.raises(IntegrityError, match="format, 2 "):
        fs.open(ONE)


def test_a_destroyed_key_makes_every_byte_of_its_tenant_unreadable(fs: EncryptedFileSystem, keys: MemoryKeys) -> None:
    keys.destroy("tenant_001")
    for url in (ONE, TWO, OTHER_DATASET):
        with pytest.raises(IntegrityError, match="key it was written with is not there"):
            fs.open(url)
    assert len(fs.cat_file(OTHER_TENANT)) == SIZE


def test_a_refused_file_leaves_no_open_descriptor(fs: EncryptedFileSystem, stored: Stored) -> None:
    stored(ONE).write_bytes(b"rubbish")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert_refused(fs)
    assert len(os.listdir("/proc/self/fd")) == before
