"""A plan as text, for people: what is read, what is cut, which rules changed it, and the SQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot

from tenancy.analytics.query.plan import (
    Aggregate,
    And,
    Bucket,
    Column,
    Compare,
    Group,
    Measure,
    Not,
    Operand,
    Or,
    Plan,
    Predicate,
    TimePart,
)


def explain(plan: Plan, fired: Sequence[str] | None = None, sql: str = "") -> str:
    """The plan, one step a line, from the result down to the scan."""
    lines = [f"limit {plan.limit:,}" + (f" offset {plan.offset:,}" if plan.offset else "")]
    if plan.fill:
        lines.append(f"fill missing buckets with {plan.fill.value}")
    if plan.order:
        lines.append("order " + ", ".join(key.name + (" desc" if key.descending else "") for key in plan.order))
    if plan.having:
        lines.append(f"having {_predicate(plan.having)}")
    if plan.shape == "groups":
        lines.append("group " + (", ".join(map(_output, plan.outputs)) or "everything"))
        lines.append("measure " + ", ".join(map(_output, plan.measures)))
    else:
        lines.append("columns " + ", ".join(map(_output, plan.outputs)))
    if plan.where:
        lines.append(f"where {_predicate(plan.where)}")
    for join in plan.joins:
        early = " (after aggregation by its key)" if plan.aggregate_early else ""
        lines.append(f"join {join.alias} on {join.on.name} = {join.dataset}.{join.key}{early}")
    lines += _scan(plan)
    if fired is not None:
        lines.append(f"rules {', '.join(fired) or 'none fired'}")
    if sql:
        lines += ["", sqlglot.transpile(sql, read="duckdb", write="duckdb", pretty=True)[0]]
    return "\n".join(lines)


def _scan(plan: Plan) -> list[str]:
    scan = plan.scan
    total = len(scan.segments) + scan.pruned
    rows = scan.buffer_rows + sum(segment.rows for segment in scan.segments)
    lines = [f"scan {scan.dataset}: {', '.join(column.name for column in scan.columns) or 'no columns'}"]
    if scan.time.start or scan.time.end:
        start, end = (moment.isoformat() if moment else "…" for moment in (scan.time.start, scan.time.end))
        lines.append(f"  time [{start}, {end})")
    if scan.where:
        lines.append(f"  where {_predicate(scan.where)}")
    if scan.latest_by:
        lines.append(f"  the last row of each {scan.latest_by}")
    lines.append(
        f"  {len(scan.segments)} of {total} segments ({scan.pruned} pruned), {scan.buffer_rows:,} buffered rows"
    )
    lines.append(f"  {rows:,} rows in all")
    return lines


def _output(output: Group | Measure) -> str:
    meaning = _aggregate(output.of) if isinstance(output.of, Aggregate) else _operand(output.of)
    return meaning if meaning == output.name else f"{output.name} = {meaning}"


def _aggregate(aggregate: Aggregate) -> str:
    of = "*" if aggregate.of is None else _operand(aggregate.of)
    text = f"{aggregate.function}({of}{'' if aggregate.quantile is None else f', {aggregate.quantile}'})"
    return f"{text} where {_predicate(aggregate.where)}" if aggregate.where else text


def _operand(operand: Operand) -> str:
    match operand:
        case Column():
            return operand.name if operand.source in ("events", "result") else f"{operand.source}.{operand.name}"
        case Bucket():
            return f"{operand.unit} of {_operand(operand.of)} in {operand.zone}"
        case TimePart():
            return f"{operand.part} of {_operand(operand.of)} in {operand.zone}"


def _predicate(predicate: Predicate) -> str:
    match predicate:
        case And():
            return " and ".join(f"({_predicate(part)})" for part in predicate.parts)
        case Or():
            return " or ".join(f"({_predicate(part)})" for part in predicate.parts)
        case Not():
            return f"not ({_predicate(predicate.part)})"
        case Compare():
            values = ", ".join(
                value if isinstance(value, str) else str(value) for value in map(_value, predicate.values)
            )
            return f"{_operand(predicate.operand)} {predicate.by.value} {values}".rstrip()


def _value(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float) else str(value)
