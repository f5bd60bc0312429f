"""The format of an encrypted file: a header and frames of AES-256-GCM, in the STREAM construction. Pure.

    file   = header frame₀ frame₁ … frameₙ
    header = magic(8) version(2) frame size(4) tenant key version(4) wrapped file key(40) nonce prefix(7) file id(16)
    frame  = AES-256-GCM(file key, nonce, plaintext of 256 KiB or, in the last frame, less) with its tag(16)
    nonce  = nonce prefix(7) frame counter(4) last-frame flag(1)

Every file has a key of its own, wrapped by its tenant's key (RFC 3394). The additional data of every frame are
the header and the tenant, dataset and name of the file, so no bit of the header can be changed and no file can
stand in for another. The counter forbids reordering, the flag forbids cutting at a frame's border.

STREAM: Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", CRYPTO 2015. docs/storage-format.md has the layout for other implementations, and test vectors.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.storage.location import Location

Bytes: TypeAlias = bytes | bytearray | memoryview

MAGIC = b"TENANCY\0"
FORMAT_VERSION = 1
FRAME_BYTES = 256 * 1024
"""Plaintext in every frame but the last."""
TAG_BYTES = 16
SEALED_BYTES = FRAME_BYTES + TAG_BYTES
KEY_BYTES = 32

_HEADER = struct.Struct(">8sHII40s7s16s")
_NAME = struct.Struct(">H")
_FLAGS = (b"\0", b"\1")

HEADER_BYTES = _HEADER.size
MOST_FRAMES = 1 << 32


def frames_of(plain_bytes: int) -> int:
    """How many frames hold so many bytes; an empty file has one, empty."""
    return max(1, -(-plain_bytes // FRAME_BYTES))


def stored_bytes(plain_bytes: int) -> int:
    """The size on disk of a file of `plain_bytes`.

    >>> stored_bytes(0), stored_bytes(300_000)
    (97, 300113)
    """
    return HEADER_BYTES + plain_bytes + TAG_BYTES * frames_of(plain_bytes)


def plain_bytes(stored: int) -> int:
    """The size of the plaintext in a file of `stored` bytes, without reading it; ValueError where none has that size.

    >>> plain_bytes(300113)
    300000
    >>> plain_bytes(90)
    Traceback (most recent call last):
    ValueError: no whole file has 90 bytes
    """
    body = stored - HEADER_BYTES
    frames = -(-body // SEALED_BYTES)
    plain = body - TAG_BYTES * frames
    if body < TAG_BYTES or frames_of(plain) != frames:
        raise ValueError(f"no whole file has {stored} bytes")
    return plain


@dataclass(frozen=True, slots=True)
class Header:
    """The first bytes of a file: all that is needed, with the tenant's key, to read the rest."""

    key_version: int
    wrapped_key: bytes = field(repr=False)
    nonce_prefix: bytes
    file_id: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(
            MAGIC, FORMAT_VERSION, FRAME_BYTES, self.key_version, self.wrapped_key, self.nonce_prefix, self.file_id
        )

    @classmethod
    def decode(cls, data: bytes, location: Location) -> Header:
        """The header in `data`; IntegrityError, naming the file, where it is not one that this version writes."""
        if len(data) != HEADER_BYTES:
            raise IntegrityError(location.url, "it ends inside its header")
        magic, version, frame_bytes, *rest = _HEADER.unpack(data)
        if magic != MAGIC:
            raise IntegrityError(location.url, "it does not begin as an encrypted file does")
        if (version, frame_bytes) != (FORMAT_VERSION, FRAME_BYTES):
            raise IntegrityError(location.url, f"its format, {version} with frames of {frame_bytes}, is not known")
        return cls(*rest)


class FrameCipher:
    """Seals and opens the frames of one file. Safe to use from many threads at once."""

    __slots__ = ("_additional", "_aead", "_location", "_prefix")

    def __init__(self, file_key: bytes, header: Header, location: Location) -> None:
        self._aead = AESGCM(file_key)
        self._prefix = header.nonce_prefix
        self._location = location
        # Lengths stand before the names, so that no two locations give the same bytes.
        names = (part.encode() for part in (location.tenant, location.dataset, location.name))
        self._additional = header.encode() + b"".join(_NAME.pack(len(name)) + name for name in names)

    @classmethod
    def create(cls, location: Location, key_version: int, tenant_key: bytes) -> tuple[bytes, FrameCipher]:
        """The header, encoded, and the cipher of a new file, with a fresh key."""
        file_key = os.urandom(KEY_BYTES)
        header = Header(key_version, aes_key_wrap(tenant_key, file_key), os.urandom(7), os.urandom(16))
        return header.encode(), cls(file_key, header, location)

    @classmethod
    def unwrap(cls, location: Location, header: Header, tenant_key: bytes) -> FrameCipher:
        """The cipher of an existing file; IntegrityError where `tenant_key` is not the one it was written with."""
        try:
            file_key = aes_key_unwrap(tenant_key, header.wrapped_key)
        except InvalidUnwrap as error:
            raise IntegrityError(location.url, "its key does not open with its tenant's key") from error
        return cls(file_key, header, location)

    def seal_into(self, index: int, last: bool, plain: Bytes, sealed: Bytes) -> None:
        """Encrypt frame `index` into `sealed`, which is TAG_BYTES longer than `plain`."""
        self._aead.encrypt_into(self._nonce(index, last), plain, self._additional, sealed)

    def open_into(self, index: int, last: bool, sealed: Bytes, plain: Bytes) -> None:
        """Decrypt frame `index` into `plain`. Raises IntegrityError; then `plain` holds nothing of use."""
        try:
            self._aead.decrypt_into(self._nonce(index, last), sealed, self._additional, plain)
        except InvalidTag as error:
            raise self._refused(index) from error

    def open(self, index: int, last: bool, sealed: Bytes) -> bytes:
        """The plaintext of frame `index`. Raises IntegrityError."""
        try:
            return self._aead.decrypt(self._nonce(index, last), sealed, self._additional)
        except InvalidTag as error:
            raise self._refused(index) from error

    def seal(self, header: bytes, plain: Bytes) -> bytearray:
        """A whole file: `header` and all frames of `plain`."""
        view = memoryview(plain).cast("B")
        size = len(view)
        stored = bytearray(stored_bytes(size))
        stored[:HEADER_BYTES] = header
        last = frames_of(size) - 1
        with memoryview(stored) as out:
            for index in range(last + 1):
                piece = view[index * FRAME_BYTES : (index + 1) * FRAME_BYTES]
                start = HEADER_BYTES + index * SEALED_BYTES
                self.seal_into(index, index == last, piece, out[start : start + len(piece) + TAG_BYTES])
        return stored

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._prefix + index.to_bytes(4) + _FLAGS[last]

    def _refused(self, index: int) -> IntegrityError:
        return IntegrityError(self._location.url, f"frame {index} is damaged, cut, or belongs elsewhere")
