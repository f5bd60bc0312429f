"""docs/storage-format.md says what the files are: its vectors are written, read, and read by its words alone."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from tenancy.analytics.storage.framing import FRAME_BYTES, HEADER_BYTES, FrameCipher, Header, plain_bytes, stored_bytes
from tenancy.analytics.storage.location import Location

PAGE = (Path(__file__).parents[2] / "docs" / "storage-format.md").read_text()
FOUND = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
assert FOUND is not None
VECTORS: dict[str, Any] = json.loads(FOUND[1])
HEADER = bytes.fromhex(VECTORS["header"])
TENANT_KEY = bytes.fromhex(VECTORS["tenant_key"])
PLACE = Location("tenant_001", "plays", "segments/1.parquet")


def pattern(size: int) -> bytes:
    return bytes(number * number % 251 for number in range(size))


def as_written(size: int) -> bytes:
    cipher = FrameCipher.unwrap(PLACE, Header.decode(HEADER, PLACE), TENANT_KEY)
    return bytes(cipher.seal(HEADER, pattern(size)))


@pytest.mark.parametrize("vector", VECTORS["files"], ids=lambda vector: str(vector["plain_bytes"]))
def test_the_vectors_are_what_is_written(vector: dict[str, Any]) -> None:
    stored = as_written(vector["plain_bytes"])
    assert len(stored) == vector["stored_bytes"] == stored_bytes(vector["plain_bytes"])
    assert plain_bytes(len(stored)) == vector["plain_bytes"]
    assert hashlib.sha256(stored).hexdigest() == vector["stored_sha256"]
    assert stored[-16:].hex() == vector["last_tag"]
    assert vector.get("stored", stored.hex()) == stored.hex()


@pytest.mark.parametrize("size", [vector["plain_bytes"] for vector in VECTORS["files"]])
def test_a_reader_made_from_the_page_alone_reads_them(size: int) -> None:
    stored = as_written(size)
    header, body = stored[:81], stored[81:]
    file_key = aes_key_unwrap(TENANT_KEY, header[18:58])
    assert file_key.hex() == VECTORS["file_key"]
    additional = header
    for part in (b"tenant_001", b"plays", b"segments/1.parquet"):
        additional += len(part).to_bytes(2, "big") + part
    frames = [body[start : start + 262160] for start in range(0, len(body), 262160)]
    plain = b""
    for number, frame in enumerate(frames):
        last = b"\1" if number == len(frames) - 1 else b"\0"
        nonce = header[58:65] + number.to_bytes(4, "big") + last
        plain += AESGCM(file_key).decrypt(nonce, frame, additional)
    assert plain == pattern(size)


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"Header, {HEADER_BYTES} bytes" in PAGE
    assert f"pieces of {FRAME_BYTES:,} bytes" in PAGE
    version = Header.decode(HEADER, PLACE)
    assert (version.key_version, version.nonce_prefix.hex(), version.file_id.hex()) == (
        7,
        VECTORS["header"][58 * 2 : 65 * 2],
        VECTORS["header"][65 * 2 :],
    )
