"""The encrypted filesystem: every reader and writer of fsspec works on it, and the disk sees ciphertext alone."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import ConfigurationError, IntegrityError, UnknownNameError
from tenancy.analytics.storage import _local
from tenancy.analytics.storage._reader import EncryptedReader
from tenancy.analytics.storage._sources import LocalSource, RemoteSource, Source
from tenancy.analytics.storage._space import full_disk_is_an_error_of_ours
from tenancy.analytics.storage._spool import SpooledFile
from tenancy.analytics.storage._writer import EncryptedWriter, Sink
from tenancy.analytics.storage.framing import HEADER_BYTES, TAG_BYTES, FrameCipher, Header, plain_bytes, stored_bytes
from tenancy.analytics.storage.location import PROTOCOL, Location, relative
from tenancy.analytics.storage.traffic import Traffic

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TENANTS = "tenants"
"""The folder below the root that holds a folder for each tenant."""


class KeyRing(Protocol):
    """The keys of tenants: `security.keys.TenantKeyRing`."""

    def current(self, tenant: str) -> tuple[int, bytes]:
        """The version and the 32 bytes of the key to write with; UnknownNameError where the tenant has none."""
        ...

    def key(self, tenant: str, version: int) -> bytes:
        """The key that something was written with; UnknownNameError where it was destroyed or never was."""
        ...


class EncryptedFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files of tenants, encrypted, on any fsspec filesystem: `tenancy://<tenant>/<dataset>/<name>`.

        fs = open_storage(config.storage, keys)
        with fs.open("tenancy://tenant_001/plays/segments/1.parquet", "wb") as file:
            pq.write_table(table, file)
        connection.register_filesystem(fs)  # DuckDB
        dataset("tenancy://tenant_001/plays/segments", filesystem=PyFileSystem(FSSpecHandler(fs)))  # PyArrow

    A file that is damaged, cut, swapped or renamed is an IntegrityError that names it. A full disk is a
    StorageFullError, and nothing of the file remains. Files cannot be moved, for their names are part of what
    is authenticated.
    """

    protocol: ClassVar[str] = PROTOCOL
    cachable = False

    def __init__(self, base: AbstractFileSystem, root: str, keys: KeyRing) -> None:
        super().__init__()
        self._base = base
        self._root = f"{base._strip_protocol(root).rstrip('/')}/{TENANTS}"
        self._keys = keys
        self.traffic = Traffic()
        self._local = isinstance(base, LocalFileSystem)

    def write_durable(self, url: str, data: ReadableBuffer) -> None:
        """Make a new file of `data`, synced with its name before this returns. FileExistsError if there is one.

        For small objects that must not be lost: one write, one sync of the file and one of its folder.
        """
        location = Location.parse(url)
        header, cipher = self._new_cipher(location)
        stored = cipher.seal(header, memoryview(data))
        with full_disk_is_an_error_of_ours(location.url):
            if self._local:
                _local.write_durable(self._path(url), stored)
            else:
                # "create" is a conditional put where the store has it, as S3 does.
                self._base.pipe_file(self._path(url), bytes(stored), mode="create")
        self.traffic.of(location.tenant).add_written(memoryview(stored).nbytes)

    def is_torn(self, url: str, plain_bytes: int) -> bool:
        """Whether a file that was to hold `plain_bytes` was never written to its end.

        It is shorter then, or, where the disk made it long before it filled it, there are zeros in place of its
        last tag. Sixteen zeros are no tag but once in 2¹²⁸ files, so what was whole and damaged later is not torn.
        """
        with _named(url), closing(self._source(url)) as source:
            if source.size != stored_bytes(plain_bytes):
                return source.size < stored_bytes(plain_bytes)
            return bytes(source.read(source.size - TAG_BYTES, TAG_BYTES)) == bytes(TAG_BYTES)

    def sweep(self, url: str) -> int:
        """Remove what writers that were killed left below the folder `url`; how many files that were.

        For the folder's owner, before it writes: a file that is being written would go, too.
        """
        folder = self._path(url)
        if not self._local:
            return 0
        partial = [
            os.path.join(where, name)
            for where, _, names in os.walk(folder)
            for name in names
            if name.startswith(_local.PARTIAL_PREFIX)
        ]
        for path in partial:
            os.unlink(path)
        return len(partial)

    # What fsspec asks of a filesystem.

    def _open(self, path: str, mode: str = "rb", **_: Any) -> EncryptedReader | EncryptedWriter:
        if mode == "rb":
            return self._reader(path)
        if mode == "wb":
            return self._writer(path)
        raise io.UnsupportedOperation(f"{path}: files are read ('rb') or written whole ('wb'), not opened {mode!r}")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """`name`, `type`, `size` (of the plaintext, without reading the file) and `mtime` where the base has it."""
        with _named(path):
            return self._described(self._base.info(self._path(path)))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        with _named(path):
            found = self._base.ls(self._path(path), detail=True)
        entries = [self._described(info) for info in found if not info["name"].rpartition("/")[2].startswith(".")]
        return entries if detail else [entry["name"] for entry in entries]

    def exists(self, path: str, **_: Any) -> bool:
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._type(path) == "directory"

    def modified(self, path: str) -> datetime:
        if self._local:
            with _named(path):
                return datetime.fromtimestamp(os.stat(self._path(path)).st_mtime, UTC)
        with _named(path):
            when: datetime = self._base.modified(self._path(path))
            return when

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        target = self._path(path)
        if not exist_ok and self.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        with full_disk_is_an_error_of_ours(path):
            if self._local:
                _local.make_folders(target)
            else:
                self._base.makedirs(target, exist_ok=True)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        if not create_parents and not self.isdir(self._parent(path)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.makedirs(path, exist_ok=False)

    def rmdir(self, path: str) -> None:
        with _named(path):
            self._base.rmdir(self._path(path))

    def rm_file(self, path: str) -> None:
        with _named(path):
            self._base.rm_file(self._path(path))

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, or with `recursive` whole folders. FileNotFoundError where there is nothing."""
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        for one in [path] if isinstance(path, str) else path:
            with _named(one):
                self._base.rm(self._path(one), recursive=recursive)

    def mv(self, path1: str, *_: Any, **__: Any) -> NoReturn:
        raise io.UnsupportedOperation(f"{path1}: a file cannot be moved, its name is part of what is authenticated")

    # Inside.

    def _reader(self, path: str) -> EncryptedReader:
        location = Location.parse(path)
        with _named(path):
            source = self._source(path)
        try:
            tally = self.traffic.of(location.tenant)
            tally.add_read(min(HEADER_BYTES, source.size))
            header = Header.decode(bytes(source.read(0, HEADER_BYTES)), location)
            try:
                size = plain_bytes(source.size)
            except ValueError as error:
                raise IntegrityError(location.url, str(error)) from error
            try:
                key = self._keys.key(location.tenant, header.key_version)
            except UnknownNameError as error:
                raise IntegrityError(location.url, f"the key it was written with is not there ({error})") from error
            return EncryptedReader(source, FrameCipher.unwrap(location, header, key), size, location.url, tally)
        except BaseException:
            source.close()
            raise

    def _source(self, path: str) -> Source:
        target = self._path(path)
        return LocalSource(target) if self._local else RemoteSource(self._base, target)

    def _writer(self, path: str) -> EncryptedWriter:
        location = Location.parse(path)
        header, cipher = self._new_cipher(location)
        with full_disk_is_an_error_of_ours(location.url):
            target = self._path(path)
            sink: Sink = _local.PartialFile(target) if self._local else SpooledFile(self._base, target)
        return EncryptedWriter(sink, header, cipher, location.url, self.traffic.of(location.tenant))

    def _new_cipher(self, location: Location) -> tuple[bytes, FrameCipher]:
        version, key = self._keys.current(location.tenant)
        return FrameCipher.create(location, version, key)

    def _path(self, path: str) -> str:
        below = relative(path)
        return f"{self._root}/{below}" if below else self._root

    def _type(self, path: str) -> str | None:
        try:
            kind: str = self.info(path)["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return kind

    def _described(self, info: dict[str, Any]) -> dict[str, Any]:
        name = info["name"].removeprefix(self._root).lstrip("/")
        described = {"name": name, "type": info["type"], "size": 0}
        if info["type"] == "file":
            described["size"] = _plain_bytes(info["size"])
        if "mtime" in info:
            described["mtime"] = info["mtime"]
        return described


def _plain_bytes(stored: int) -> int:
    try:
        return plain_bytes(stored)
    except ValueError:
        # The file was cut. Listing must still work; opening it says what is wrong.
        return 0


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Let a missing file be named as the caller did, not as the base filesystem does."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error


def base_filesystem(config: StorageConfig) -> tuple[AbstractFileSystem, str]:
    """The filesystem that `storage.root` names, and the root's path on it.

    >>> base, root = base_filesystem(StorageConfig(root="memory://somewhere"))
    >>> base.protocol, root
    ('memory', '/somewhere')

    Raises ConfigurationError for a URL that nothing here opens.
    """
    try:
        base, root = fsspec.core.url_to_fs(config.root, **config.storage_options)
    except (ImportError, TypeError, ValueError) as error:
        # An unknown protocol, one whose package is not installed, or options it does not take.
        raise ConfigurationError(
            "storage.root", config.root, f"use a folder or a URL fsspec opens ({error})"
        ) from error
    return base, root


def open_storage(config: StorageConfig, keys: KeyRing) -> EncryptedFileSystem:
    """The encrypted filesystem that `config` names. Raises ConfigurationError for a URL that nothing here opens."""
    base, root = base_filesystem(config)
    return EncryptedFileSystem(base, root, keys)
