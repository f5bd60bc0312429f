"""Ray actors: a thin actor and a typed handle over each plain class, and the directory of who serves whom."""

from actors.directory_handle import DirectoryHandle
from actors.placement import Condition, Sight, Step
from actors.ray_runtime import connect
from actors.tenant_actor import TenantActor
from actors.tenant_directory import TenantDirectory
from actors.tenant_handle import TenantHandle
from actors.tenant_host import HostStatus, TenantHost

__all__ = [
    "Condition",
    "DirectoryHandle",
    "HostStatus",
    "Sight",
    "Step",
    "TenantActor",
    "TenantDirectory",
    "TenantHandle",
    "TenantHost",
    "connect",
]
