"""`tenancy demo`: two tenants whose data have nothing in common, from nothing to charts."""

from cluster.demo.report import Answer, DemoReport, Load
from cluster.demo.run import DemoOptions, run_demo

__all__ = ["Answer", "DemoOptions", "DemoReport", "Load", "run_demo"]
