"""The master key, which wraps the keys of tenants: in a file, in the environment, or in a service plugged in."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from typing import Protocol
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import ConfigurationError, IntegrityError

KEY_BYTES = 32
FILE_NAME = "master.key"
"""The key file below `storage.root`, where no other is named."""

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_HIDDEN = "(hidden)"
_FORM = "give 32 random bytes in base64, as `openssl rand -base64 32` does"


class KeyProvider(Protocol):
    """Wraps keys of tenants with a master key that need not be in this process.

    `context` says what the key is for; unwrapping with another context fails. It is what AWS KMS calls the
    encryption context and Google's KMS additional authenticated data, so either is a few lines away.
    """

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The key again; IntegrityError where `wrapped` is not what `wrap` made with this key and context."""
        ...


class MasterKey:
    """A master key in memory: AES-256-GCM with a random nonce. Never shows itself.

    >>> master = MasterKey(bytes(32))
    >>> master.unwrap(master.wrap(b"secret", {"tenant": "tenant_001"}), {"tenant": "tenant_001"})
    b'secret'
    >>> master
    MasterKey(***)
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError("master key", _HIDDEN, _FORM)
        self._aead = AESGCM(key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._aead.encrypt(nonce, key, _bound(context))

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        nonce, sealed = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        place = f"the wrapped key of {', '.join(f'{name} {value!r}' for name, value in context.items())}"
        if wrapped[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
            raise IntegrityError(place, "its format is not known")
        try:
            return self._aead.decrypt(nonce, sealed, _bound(context))
        except InvalidTag as error:
            raise IntegrityError(place, "it does not open with this master key") from error


class FileKeyProvider(MasterKey):
    """The master key in a file of its owner's alone, made when there is none.

    Of processes that start at once one makes the file, and all read that one. Raises ConfigurationError for a
    file that others may read, or that holds anything but a key.
    """

    def __init__(self, path: str) -> None:
        text = _read(path)
        if text is None:
            _make(path)
            text = _read(path)
            assert text is not None
        super().__init__(_decoded(text, "security.key_file", path))


class EnvironmentKeyProvider(MasterKey):
    """The master key in an environment variable, in base64. The key is never part of an error."""

    def __init__(self, variable: str, environment: Mapping[str, str] | None = None) -> None:
        text = (os.environ if environment is None else environment).get(variable)
        if text is None:
            raise ConfigurationError(variable, None, _FORM)
        super().__init__(_decoded(text, variable, _HIDDEN))


def key_provider(config: AnalyticsConfig) -> KeyProvider:
    """The provider that `security` in `config` asks for. Makes the key file when it is the first to ask."""
    path = key_file(config)
    return EnvironmentKeyProvider(config.security.key_variable) if path is None else FileKeyProvider(path)


def key_file(config: AnalyticsConfig) -> str | None:
    """Where the key file is or will be; None where the key is in the environment.

    Raises ConfigurationError where storage is elsewhere and no file is named.
    """
    security = config.security
    if security.key_provider == "environment":
        return None
    if security.key_file is not None:
        return security.key_file
    root = config.storage.root.removeprefix("file://")
    if "://" in root:
        raise ConfigurationError(
            "security.key_file", None, f"name a local file, since no key is kept beside the data at {root!r}"
        )
    return os.path.join(root, FILE_NAME)


def _bound(context: Mapping[str, str]) -> bytes:
    parts = [part.encode() for pair in sorted(context.items()) for part in pair]
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def _decoded(text: str, place: str, shown: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        # No `from`: what the decoder complains of may hold parts of the key.
        raise ConfigurationError(place, shown, _FORM)
    return key


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(
                    "security.key_file", path, f"its mode is {stat.S_IMODE(mode):04o}, others may use it; chmod 600 it"
                )
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError("security.key_file", path, f"it cannot be read ({error.strerror})") from error


def _make(path: str) -> None:
    """Make the key file, whole from its first moment: written beside, then linked, which the first one wins."""
    folder = os.path.dirname(path) or "."
    beside = os.path.join(folder, f".{os.path.basename(path)}-{uuid4().hex}")
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(beside, path)
            except FileExistsError:
                return  # another process made it first; its key is the key
        finally:
            os.unlink(beside)
        # A key that a power cut takes back would take everything encrypted under it, too.
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError("security.key_file", path, f"it cannot be made ({error.strerror})") from error
