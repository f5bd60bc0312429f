"""Ray's dashboard as far as it is needed: put Serve applications up, see how they are, see the nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from cluster.serve_environment import ray_token
from tenancy.analytics.errors import UnavailableError

_APPLICATIONS = "/api/serve/applications/"
_POLL_S = 0.25


class Dashboard:
    """A client of the REST API that `serve deploy` speaks (Ray docs, "Serve REST API")."""

    def __init__(self, address: str, timeout_s: float = 60.0) -> None:
        token = ray_token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=address, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def version(self) -> str:
        """Ray's version."""
        version: str = self._call("GET", "/api/version").json()["ray_version"]
        return version

    def nodes(self) -> list[dict[str, Any]]:
        """Ray's nodes, with `node_ip`, `state`, `is_head_node` and `resources_total`."""
        answer = self._call("GET", "/api/v0/nodes", params={"detail": "True"}).json()
        rows: list[dict[str, Any]] = answer["data"]["result"]["result"]
        return rows

    def deploy(self, config: Mapping[str, Any]) -> None:
        """What `serve deploy` does, but applications that others deployed stay."""
        self._put(config, without={application["name"] for application in config["applications"]})

    def withdraw(self, names: tuple[str, ...]) -> None:
        """Take these applications down; those of others stay."""
        self._put({"applications": []}, without=set(names))

    def _put(self, config: Mapping[str, Any], without: set[str]) -> None:
        # The call is declarative: what it does not name is removed, so what others deployed has to be repeated.
        others = [
            application["deployed_app_config"]
            for name, application in self.applications().items()
            if name not in without and application.get("deployed_app_config")
        ]
        self._call("PUT", _APPLICATIONS, json={**config, "applications": [*others, *config["applications"]]})

    def serve(self) -> dict[str, Any]:
        """All there is to know of Serve: `controller_info`, `proxies`, `applications` by name."""
        details: dict[str, Any] = self._call("GET", _APPLICATIONS).json()
        return details

    def applications(self) -> dict[str, dict[str, Any]]:
        """Serve's applications by name, with `status`, `message` and `deployments`."""
        found: dict[str, dict[str, Any]] = self.serve().get("applications", {})
        return found

    def await_running(self, names: tuple[str, ...], patience_s: float) -> None:
        """Wait until these applications run. Raises UnavailableError with Serve's own words when they fail."""
        deadline = time.monotonic() + patience_s
        while True:
            found = self.applications()
            states = {name: found.get(name, {}).get("status", "NOT_STARTED") for name in names}
            if all(state == "RUNNING" for state in states.values()):
                return
            for name, state in states.items():
                if state == "DEPLOY_FAILED":
                    raise UnavailableError(f"application {name!r}", _reason(found[name]))
            if time.monotonic() > deadline:
                raise UnavailableError("Serve", f"after {patience_s:g} s its applications are {states}")
            time.sleep(_POLL_S)

    def replicas(self, names: tuple[str, ...]) -> set[str]:
        """The ids of the replicas of these applications, however they are."""
        found = self.applications()
        return {
            str(replica["replica_id"])
            for name in names
            for deployment in found.get(name, {}).get("deployments", {}).values()
            for replica in deployment["replicas"]
        }

    def await_gone(self, replicas: set[str], names: tuple[str, ...], patience_s: float) -> None:
        """Wait until none of these replicas is left. Raises UnavailableError."""
        deadline = time.monotonic() + patience_s
        while left := replicas & self.replicas(names):
            if time.monotonic() > deadline:
                raise UnavailableError("Serve", f"after {patience_s:g} s replicas {sorted(left)} are still there")
            time.sleep(_POLL_S)

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise UnavailableError(f"Ray's dashboard at {self._client.base_url}", str(error)) from error
        if answer.is_success:
            return answer
        raise UnavailableError(
            f"Ray's dashboard at {self._client.base_url}", f"{answer.status_code}: {answer.text[:1000]}"
        )


def _reason(application: Mapping[str, Any]) -> str:
    """Why an application did not come up: what its deployments say, which is more than it says itself."""
    told = [str(deployment.get("message", "")) for deployment in application.get("deployments", {}).values()]
    # A replica's exception ends with its own message; the traceback before it is in Serve's log.
    return "; ".join(text.strip()[-1000:] for text in (*told, str(application.get("message", ""))) if text.strip())
