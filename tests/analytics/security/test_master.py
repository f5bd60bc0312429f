"""The master key is made once, kept from others, and never shown."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import ConfigurationError, IntegrityError
from tenancy.analytics.security.master import EnvironmentKeyProvider, FileKeyProvider, MasterKey, key_provider

CONTEXT = {"tenant": "tenant_001", "version": "1"}
KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "master.key"
    wrapped = FileKeyProvider(str(path)).wrap(b"secret", CONTEXT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileKeyProvider(str(path)).unwrap(wrapped, CONTEXT) == b"secret"
    assert [file.name for file in path.parent.iterdir()] == ["master.key"]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from tenancy.analytics.security.master import FileKeyProvider;"
        "sys.stdin.readline();"
        "sys.stdout.write(FileKeyProvider(sys.argv[1]).wrap(b'secret', {}).hex())"
    )
    path = str(tmp_path / "master.key")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    wrapped = [bytes.fromhex(process.communicate(timeout=60)[0]) for process in processes]
    assert {FileKeyProvider(path).unwrap(one, {}) for one in wrapped} == {b"secret"}
    assert os.listdir(tmp_path) == ["master.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o660])
def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    FileKeyProvider(str(path))
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"master.key.*{mode:04o}.*chmod 600"):
        FileKeyProvider(str(path))


@pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(KEY[:31]), b"\xff\xfe\x00"])
def test_a_key_file_without_a_key_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="32 random bytes"):
        FileKeyProvider(str(path))
    assert path.read_bytes() == content


def test_a_key_file_in_a_place_that_cannot_be_is_an_error_of_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"security\.key_file"):
        FileKeyProvider(str(tmp_path / "file" / "master.key"))


def test_the_key_of_the_environment_is_used() -> None:
    provider = EnvironmentKeyProvider("MASTER", {"MASTER": KEY_TEXT})
    assert MasterKey(KEY).unwrap(provider.wrap(b"secret", CONTEXT), CONTEXT) == b"secret"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^MASTER: None is not valid; give 32 random bytes"):
        EnvironmentKeyProvider("MASTER", {})


@pytest.mark.parametrize(
    "text", [KEY_TEXT[:-4], KEY_TEXT + "AAAA", "?" + KEY_TEXT, KEY_TEXT[:20] + "ä" + KEY_TEXT[20:]]
)
def test_a_wrong_key_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EnvironmentKeyProvider("MASTER", {"MASTER": text})
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert "MASTER" in shown
    assert KEY_TEXT[:8] not in shown
    assert KEY_TEXT[-12:-4] not in shown


def test_a_provider_masks_itself() -> None:
    assert repr(EnvironmentKeyProvider("MASTER", {"MASTER": KEY_TEXT})) == "EnvironmentKeyProvider(***)"


def test_what_is_wrapped_never_looks_the_same_twice() -> None:
    assert MasterKey(KEY).wrap(b"secret", CONTEXT) != MasterKey(KEY).wrap(b"secret", CONTEXT)


def test_another_context_another_key_or_damage_is_refused() -> None:
    wrapped = MasterKey(KEY).wrap(b"secret", CONTEXT)
    with pytest.raises(IntegrityError, match="'tenant_002'"):
        MasterKey(KEY).unwrap(wrapped, {**CONTEXT, "tenant": "tenant_002"})
    with pytest.raises(IntegrityError, match="this master key"):
        MasterKey(bytes(32)).unwrap(wrapped, CONTEXT)
    for position in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[position] ^= 1
        with pytest.raises(IntegrityError):
            MasterKey(KEY).unwrap(bytes(damaged), CONTEXT)
    for length in range(len(wrapped)):
        with pytest.raises(IntegrityError):
            MasterKey(KEY).unwrap(wrapped[:length], CONTEXT)


def test_the_settings_choose_the_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below_root = AnalyticsConfig.load({"storage": {"root": f"file://{tmp_path}"}}, {})
    assert isinstance(key_provider(below_root), FileKeyProvider)
    assert (tmp_path / "master.key").exists()

    named = AnalyticsConfig.load({"security": {"key_file": str(tmp_path / "other.key")}}, {})
    key_provider(named)
    assert (tmp_path / "other.key").exists()

    monkeypatch.setenv("TENANCY_MASTER_KEY", KEY_TEXT)
    environment = AnalyticsConfig.load({"security": {"key_provider": "environment"}}, {})
    assert isinstance(key_provider(environment), EnvironmentKeyProvider)


def test_no_key_is_made_beside_remote_data() -> None:
    with pytest.raises(ConfigurationError, match=r"security\.key_file"):
        key_provider(AnalyticsConfig.load({"storage": {"root": "s3://bucket/prefix"}}, {}))
