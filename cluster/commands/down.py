"""`tenancy down`."""

from __future__ import annotations

from cluster.bring_up import down
from cluster.commands.options import DEFAULT_STATE, AsJson, State
from cluster.output import Output


def command(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """Stop what 'up' started, and nothing else. Stored events stay."""
    output = Output(as_json)
    with output.reporting():
        record = down(state)
        output.result({"stopped": record.url}, lambda: output.console.print(f"Stopped {record.url}"))
