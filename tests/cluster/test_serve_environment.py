import stat
from pathlib import Path

from cluster.serve_environment import ray_token, serve_environment, token_environment


def test_a_token_is_made_once_and_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "ray" / "token"
    environment = {"RAY_AUTH_TOKEN_PATH": str(path)}
    assert token_environment(environment) == {"RAY_AUTH_MODE": "token"}
    token = ray_token(environment)
    assert token
    assert len(token) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token_environment(environment)
    assert ray_token(environment) == token


def test_who_turned_authentication_off_keeps_it_off(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert token_environment({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN_PATH": str(path)}) == {}
    assert not path.exists()


def test_a_token_of_the_environment_is_the_token() -> None:
    assert ray_token({"RAY_AUTH_TOKEN": "abc"}) == "abc"


def test_two_systems_on_one_machine_share_no_port_and_no_file(tmp_path: Path) -> None:
    first = serve_environment(tmp_path / "a", haproxy=True, throughput=True)
    second = serve_environment(tmp_path / "b", haproxy=True, throughput=True)
    own = [name for name in first if name.endswith(("PORT", "PATH", "LOC", "FILE", "BASE"))]
    assert len(own) == 9
    assert not {first[name] for name in own} & {second[name] for name in own}


def test_without_haproxy_none_is_configured(tmp_path: Path) -> None:
    environment = serve_environment(tmp_path, haproxy=False, throughput=True)
    assert environment["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    assert environment["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"
    assert not [name for name in environment if name.startswith("RAY_SERVE_HAPROXY")]
