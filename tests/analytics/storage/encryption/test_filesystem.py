"""The filesystem keeps what it is given, whole or not at all, on whatever lies below."""

from __future__ import annotations

import gc
import io
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import ConfigurationError, InvalidRequestError, UnknownNameError
from tenancy.analytics.storage.filesystem import EncryptedFileSystem, base_filesystem, open_storage
from tenancy.analytics.storage.framing import FRAME_BYTES
from tenancy.analytics.testing import MemoryKeys

URL = "tenancy://tenant_001/plays/segments/1.parquet"
SIZES = [0, 1, 1000, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 5 * FRAME_BYTES, 9 * FRAME_BYTES + 77]


@pytest.fixture(params=["local", "memory", "any other"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, keys: MemoryKeys) -> Iterator[EncryptedFileSystem]:
    """The filesystem over a base that is local, one in memory, and one that is known only by fsspec's interface."""
    base: AbstractFileSystem
    root = str(tmp_path)
    if request.param == "local":
        base = LocalFileSystem()
    elif request.param == "memory":
        base, root = MemoryFileSystem(global_store=False, skip_instance_cache=True), "/root"
    else:
        base, root = DirFileSystem(root, LocalFileSystem(auto_mkdir=True)), "root"
    return EncryptedFileSystem(base, root, keys)


def write_half(fs: EncryptedFileSystem, data: bytes) -> None:
    with fs.open(URL, "wb") as file:
        file.write(data)
        raise RuntimeError("half way")


def partial_files(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names if name.startswith(".")]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read_again(anywhere: EncryptedFileSystem, size: int) -> None:
    data = os.urandom(size)
    with anywhere.open(URL, "wb") as file:
        assert file.write(data) == size
        assert file.tell() == size
    with anywhere.open(URL, "rb") as file:
        assert file.read() == data
        assert file.read(10) == b""
    assert anywhere.info(URL)["size"] == anywhere.size(URL) == size


@pytest.mark.parametrize("size", SIZES)
def test_a_durable_write_is_read_again(anywhere: EncryptedFileSystem, size: int) -> None:
    data = os.urandom(size)
    anywhere.write_durable(URL, data)
    assert anywhere.cat_file(URL) == data
    assert anywhere.size(URL) == size


def test_a_durable_write_never_replaces_a_file(anywhere: EncryptedFileSystem) -> None:
    anywhere.write_durable(URL, b"first")
    with pytest.raises(FileExistsError):
        anywhere.write_durable(URL, b"second")
    assert anywhere.cat_file(URL) == b"first"


def test_pieces_of_any_size_make_the_same_file(anywhere: EncryptedFileSystem) -> None:
    pieces = [os.urandom(size) for size in (1, 0, FRAME_BYTES, 3, 4 * FRAME_BYTES - 4, 2 * FRAME_BYTES, 17)]
    with anywhere.open(URL, "wb") as file:
        for piece in pieces:
            file.write(piece)
    assert anywhere.cat_file(URL) == b"".join(pieces)


def test_buffers_of_any_kind_are_written(fs: EncryptedFileSystem) -> None:
    pa = pytest.importorskip("pyarrow")
    with fs.open(URL, "wb") as file:
        file.write(bytearray(b"a"))
        file.write(memoryview(b"bcd")[::1])
        file.write(pa.py_buffer(b"ef"))
        file.write(memoryview(b"\1\0\2\0").cast("H"))
    assert fs.cat_file(URL) == b"abcdef\1\0\2\0"


def test_listing_gives_names_and_sizes_of_plaintext(anywhere: EncryptedFileSystem) -> None:
    for number, size in enumerate(SIZES):
        anywhere.write_durable(f"tenancy://tenant_001/plays/wal/{number}.wal", bytes(size))
    listed = {entry["name"]: entry["size"] for entry in anywhere.ls("tenancy://tenant_001/plays/wal")}
    assert listed == {f"tenant_001/plays/wal/{number}.wal": size for number, size in enumerate(SIZES)}
    assert anywhere.ls("tenancy://tenant_001/plays", detail=False) == ["tenant_001/plays/wal"]
    assert anywhere.find("tenancy://tenant_001") == sorted(listed)
    assert anywhere.glob("tenancy://tenant_001/plays/wal/[01].wal") == sorted(listed)[:2]
    assert anywhere.ls("tenancy://", detail=False) == ["tenant_001"]
    assert anywhere.isdir("tenancy://tenant_001/plays/wal")
    assert not anywhere.isfile("tenancy://tenant_001/plays/wal")


def test_a_missing_file_is_the_standard_error_and_names_the_url(anywhere: EncryptedFileSystem) -> None:
    for call in (anywhere.open, anywhere.info, anywhere.ls, anywhere.rm, anywhere.rm_file, anywhere.modified):
        with pytest.raises(FileNotFoundError, match=re.escape("tenant_001/plays/segments/1.parquet")):
            call(URL)
    assert not anywhere.exists(URL)
    assert not anywhere.isfile(URL)
    assert not anywhere.isdir(URL)


def test_files_and_folders_are_removed(anywhere: EncryptedFileSystem) -> None:
    for number in range(3):
        anywhere.write_durable(f"tenancy://tenant_001/plays/wal/{number}.wal", b"x")
    anywhere.rm("tenancy://tenant_001/plays/wal/0.wal")
    assert not anywhere.exists("tenancy://tenant_001/plays/wal/0.wal")
    anywhere.rm(["tenancy://tenant_001/plays/wal/1.wal"])
    anywhere.rm("tenancy://tenant_001", recursive=True)
    assert not anywhere.exists("tenancy://tenant_001/plays/wal/2.wal")


def test_folders_are_made(fs: EncryptedFileSystem) -> None:
    fs.makedirs("tenancy://tenant_001/plays/segments")
    assert fs.isdir("tenancy://tenant_001/plays/segments")
    fs.makedirs("tenancy://tenant_001/plays/segments", exist_ok=True)
    with pytest.raises(FileExistsError):
        fs.makedirs("tenancy://tenant_001/plays/segments")
    with pytest.raises(FileNotFoundError):
        fs.mkdir("tenancy://tenant_001/songs/segments", create_parents=False)


def test_files_are_not_moved(fs: EncryptedFileSystem) -> None:
    fs.write_durable(URL, b"x")
    with pytest.raises(io.UnsupportedOperation, match="cannot be moved"):
        fs.mv(URL, "tenancy://tenant_001/plays/segments/2.parquet")


@pytest.mark.parametrize("mode", ["ab", "r+b", "xb"])
def test_files_are_read_or_written_whole(fs: EncryptedFileSystem, mode: str) -> None:
    with pytest.raises(io.UnsupportedOperation, match=r"not opened"):
        fs.open(URL, mode)


def test_text_is_read_and_written(fs: EncryptedFileSystem) -> None:
    with fs.open(URL, "w", encoding="utf-8") as file:
        file.write("ärger\n" * 100_000)
    with fs.open(URL, "r", encoding="utf-8") as file:
        assert sum(line == "ärger\n" for line in file) == 100_000


def test_the_disk_sees_no_plaintext_and_no_other_reader(fs: EncryptedFileSystem, stored: Callable[[str], Path]) -> None:
    fs.write_durable(URL, b"the secret song" * 1000)
    assert b"secret" not in stored(URL).read_bytes()
    assert stored(URL).stat().st_mode & 0o077 == 0


def test_a_file_has_its_name_only_when_it_is_whole(fs: EncryptedFileSystem) -> None:
    file = fs.open(URL, "wb")
    file.write(bytes(10 * FRAME_BYTES))
    assert not fs.exists(URL)
    assert fs.ls("tenancy://tenant_001/plays/segments") == []
    file.close()
    assert fs.size(URL) == 10 * FRAME_BYTES


def test_a_file_whose_writer_fails_leaves_nothing(anywhere: EncryptedFileSystem, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        write_half(anywhere, bytes(10 * FRAME_BYTES))
    assert not anywhere.exists(URL)
    assert partial_files(tmp_path) == []


def test_a_file_that_is_dropped_without_being_closed_leaves_nothing(fs: EncryptedFileSystem, tmp_path: Path) -> None:
    file = fs.open(URL, "wb")
    file.write(b"x" * 10)
    del file
    gc.collect()
    assert not fs.exists(URL)
    assert partial_files(tmp_path) == []


def test_a_failed_rewrite_leaves_the_old_file(anywhere: EncryptedFileSystem) -> None:
    anywhere.write_durable(URL, b"old")
    with pytest.raises(RuntimeError, match="half way"):
        write_half(anywhere, b"new")
    assert anywhere.cat_file(URL) == b"old"
    with anywhere.open(URL, "wb") as file:
        file.write(b"newer")
    assert anywhere.cat_file(URL) == b"newer"


def test_what_a_killed_writer_left_is_swept_by_the_owner(fs: EncryptedFileSystem, tmp_path: Path) -> None:
    writers = [fs.open(f"tenancy://tenant_001/plays/segments/{number}.parquet", "wb") for number in range(2)]
    other = fs.open("tenancy://tenant_002/plays/segments/1.parquet", "wb")
    assert len(partial_files(tmp_path)) == 3
    assert fs.sweep("tenancy://tenant_001") == 2
    assert len(partial_files(tmp_path)) == 1
    assert fs.sweep("tenancy://tenant_003") == 0
    other.close()
    for writer in writers:
        with pytest.raises(FileNotFoundError):
            writer.close()


def test_writing_and_closed_files_answer_as_files_do(fs: EncryptedFileSystem) -> None:
    with fs.open(URL, "wb") as file:
        file.write(b"hello")
        file.flush()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"more")
    reader = fs.open(URL)
    assert reader.readable()
    assert reader.seekable()
    assert not reader.writable()
    assert reader.seek(-2, os.SEEK_END) == 3
    assert reader.read() == b"lo"
    assert reader.seek(1) == reader.tell() == 1
    assert reader.seek(1, os.SEEK_CUR) == 2
    buffer = bytearray(10)
    assert reader.readinto(buffer) == 3
    assert buffer[:3] == b"llo"
    with pytest.raises(ValueError, match="seek"):
        reader.seek(-1)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read()


def written_in_small_memory(fs: EncryptedFileSystem, size: int) -> int:
    """The peak of memory allocated while a file of `size` is written and read, in bytes."""
    piece = os.urandom(1024 * 1024)
    tracemalloc.start()
    try:
        with fs.open(URL, "wb") as file:
            for _ in range(size // len(piece)):
                file.write(piece)
        with fs.open(URL) as file:
            for _ in range(size // len(piece)):
                assert file.read(len(piece)) == piece
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("anywhere", ["local", "any other"], indirect=True)  # one in memory holds the file itself
def test_a_large_file_is_written_and_read_in_little_memory(anywhere: EncryptedFileSystem) -> None:
    assert written_in_small_memory(anywhere, 96 * 1024 * 1024) < 32 * 1024 * 1024


@pytest.mark.slow
def test_two_gigabytes_are_written_in_less_than_64_mb(fs: EncryptedFileSystem) -> None:
    assert written_in_small_memory(fs, 2 * 1024**3) < 64 * 1024 * 1024
    assert fs.size(URL) == 2 * 1024**3


def test_a_rotated_key_writes_new_files_and_reads_old_ones(fs: EncryptedFileSystem, keys: MemoryKeys) -> None:
    fs.write_durable(URL, b"old")
    assert keys.rotate("tenant_001") == 2
    fs.write_durable("tenancy://tenant_001/plays/segments/2.parquet", b"new")
    assert fs.cat_file(URL) == b"old"
    assert fs.cat_file("tenancy://tenant_001/plays/segments/2.parquet") == b"new"


def test_nothing_is_written_for_a_tenant_without_a_key(
    fs: EncryptedFileSystem, keys: MemoryKeys, tmp_path: Path
) -> None:
    keys.destroy("tenant_001")
    with pytest.raises(UnknownNameError):
        fs.write_durable(URL, b"x")
    with pytest.raises(UnknownNameError):
        fs.open(URL, "wb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["{}", "file://{}", "relative"])
def test_a_root_is_a_folder_or_a_url(
    form: str, tmp_path: Path, keys: MemoryKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fs = open_storage(StorageConfig(root=form.format(tmp_path / "there")), keys)
    fs.write_durable(URL, b"hello")
    assert fs.cat_file(URL) == b"hello"
    (file,) = tmp_path.glob("*/tenants/tenant_001/plays/segments/1.parquet")
    assert file.parts[len(tmp_path.parts)] == ("relative" if form == "relative" else "there")


def test_a_root_in_memory_works(keys: MemoryKeys) -> None:
    root = f"memory://{uuid4().hex}"
    open_storage(StorageConfig(root=root), keys).write_durable(URL, b"hello")
    assert open_storage(StorageConfig(root=root), keys).cat_file(URL) == b"hello"


def test_options_of_the_storage_reach_the_base() -> None:
    base, _ = base_filesystem(StorageConfig(root="file:///somewhere", storage_options={"auto_mkdir": True}))
    assert base.auto_mkdir


def test_a_root_that_nothing_opens_is_an_error_of_the_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"storage.root: 'no-such-thing://bucket'"):
        base_filesystem(StorageConfig(root="no-such-thing://bucket"))


def test_a_folder_is_not_opened_as_a_file(fs: EncryptedFileSystem) -> None:
    with pytest.raises(InvalidRequestError):
        fs.open("tenancy://tenant_001/plays")
