"""Placement on paper: the policy of the directory against a hundred thousand tenants, for hours, without a process.

    python -m benchmarks.placement_sim --tenants 100000 --hosts 64 --hours 4 --seed 7

Load is Zipf over tenants, drifts with the time of day in each tenant's own phase, and is noisy; now and then a tenant
has a flash crowd (50 times its load for ten minutes), and once an hour a host is lost. A tenant without calls for five
minutes goes cold and is placed anew when it wakes. The same load, from the same seed, is given to peers that a team
would otherwise use: rendezvous hashing (Thaler and Ravishankar, 1998), a random host, and the host with the fewest
tenants; these move only tenants of a host that was lost.

Imbalance is the busiest host's load over the mean, round by round: over shared hosts, which is what can be evened out,
and over all, dedicated ones too, by which the policy is held against its peers. Overload is the share of work beyond
one core a host. The policy may start dedicated hosts beside the shared ones, so it has more processes than a peer:
the rows of hosts say how many.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from actors.placement import (
    End,
    History,
    HostCondition,
    HostSight,
    Move,
    Rules,
    Start,
    TenantSight,
    dedicated_to,
    host_for,
    rebalance,
    shared_name,
)
from benchmarks.report import Measurement, Report, at_most, percentile

Floats = npt.NDArray[np.float64]

ROUND_S = 30.0
IDLE_S = 300.0
CALL_S = 0.005
"""CPU seconds of a call: how often a tenant calls follows from its load."""
FLASH_FACTOR, FLASH_S = 50.0, 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What is simulated."""

    tenants: int
    hosts: int
    hours: float
    exponent: float
    seed: int


@dataclass(slots=True)
class Tally:
    """What happened to one policy."""

    imbalance: list[float] = field(default_factory=list)
    """Of shared hosts."""
    imbalance_of_all: list[float] = field(default_factory=list)
    hosts: list[float] = field(default_factory=list)
    overload: float = 0.0
    work: float = 0.0
    moves: int = 0
    promotions: int = 0
    wakes: int = 0
    relief_s: list[float] = field(default_factory=list)
    """From the begin of a flash crowd to a dedicated host."""


class Load:
    """The load of every tenant, round after round; the same for every policy."""

    def __init__(self, options: Options) -> None:
        self._rng = np.random.default_rng(options.seed)
        n = options.tenants
        ranks = self._rng.permutation(n) + 1.0
        weights = ranks**-options.exponent
        # Sixty per cent of all cores; nobody does more than one host can.
        self._base: Floats = np.minimum(0.6 * options.hosts * weights / weights.sum(), 0.8)
        self._phase: Floats = self._rng.random(n) * 2 * np.pi
        self._until: Floats = np.zeros(n)
        self.crowded: list[int] = []

    def at(self, now: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Cores that each tenant wants, and who calls at all, in the round at `now`."""
        n = len(self._base)
        day = 1 + 0.5 * np.sin(2 * np.pi * now / 86_400 + self._phase)
        self.crowded = []
        if self._rng.random() < 0.05:
            chosen = int(self._rng.integers(n))
            self._until[chosen] = now + FLASH_S
            self.crowded = [chosen]
        crowd = np.where(self._until > now, FLASH_FACTOR, 1.0)
        wanted = np.minimum(self._base * day * crowd * self._rng.lognormal(0.0, 0.3, n), 0.95)
        calling = self._rng.random(n) < -np.expm1(-wanted * ROUND_S / CALL_S)
        return np.where(calling, wanted, 0.0), calling


@dataclass(slots=True)
class Hosts:
    """Which tenant is where; -1 for the cold ones. Hosts are numbered in the order they were started."""

    names: list[str]
    of: npt.NDArray[np.int64]
    work: Floats
    """Moving averages, as hosts report them."""

    def loads(self, wanted: Floats) -> Floats:
        warm = self.of >= 0
        return np.bincount(self.of[warm], wanted[warm], minlength=len(self.names)).astype(np.float64)

    def lose(self, number: int) -> npt.NDArray[np.int64]:
        """A host is gone; its tenants are cold."""
        gone = np.flatnonzero(self.of == number)
        self.of[gone] = -1
        self.names[number] = ""
        return gone


def simulated(options: Options) -> Tally:
    """The directory's own policy."""
    load, tally = Load(options), Tally()
    rng = np.random.default_rng(options.seed + 1)
    n, rules = options.tenants, Rules(options.hosts, IDLE_S, most_dedicated=options.hosts)
    hosts = Hosts([], np.full(n, -1), np.zeros(n))
    history, last_call, crowds = History(), np.zeros(n), dict[int, float]()
    kept = float(np.exp(-ROUND_S / 30.0))
    for step in range(int(options.hours * 3600 / ROUND_S)):
        now = step * ROUND_S
        wanted, calling = load.at(now)
        crowds |= dict.fromkeys(load.crowded, now)
        last_call[calling] = now
        hosts.of[(hosts.of >= 0) & (now - last_call > IDLE_S)] = -1
        if step % 120 == 119:
            hosts.lose(int(rng.choice([number for number, name in enumerate(hosts.names) if name])))
        _wake(hosts, np.flatnonzero(calling & (hosts.of < 0)), rules, tally)
        hosts.work = kept * hosts.work + (1 - kept) * wanted
        steps, history = rebalance(_sights(hosts), history, rules, now)
        for each in steps:
            match each:
                case Start(name):
                    hosts.names.append(name)
                case Move(tenant, _, target):
                    number = int(tenant)
                    hosts.of[number] = hosts.names.index(target)
                    tally.moves += 1
                    if dedicated_to(target) is not None:
                        tally.promotions += 1
                        if number in crowds and now - crowds[number] < FLASH_S:
                            tally.relief_s.append(now - crowds.pop(number))
                case End(name):
                    hosts.names[hosts.names.index(name)] = ""
        _count(hosts, wanted, tally)
    return tally


def peer(options: Options, choose: str) -> Tally:
    """A static placement: a tenant stays where it was put until its host is lost."""
    load, tally = Load(options), Tally()
    rng = np.random.default_rng(options.seed + 1)
    n = options.tenants
    hosts = Hosts([shared_name(number) for number in range(options.hosts)], np.full(n, -1), np.zeros(n))
    home = np.full(n, -1)
    ids = np.array([zlib.crc32(str(number).encode()) for number in range(n)], dtype=np.uint64)
    for step in range(int(options.hours * 3600 / ROUND_S)):
        wanted, calling = load.at(step * ROUND_S)
        if step % 120 == 119:
            lost = int(rng.integers(options.hosts))
            home[home == lost] = -1  # the host comes back empty
            hosts.of[hosts.of == lost] = -1
        new = np.flatnonzero(calling & (home < 0))
        if choose == "random":
            home[new] = rng.integers(options.hosts, size=len(new))
        elif choose == "rendezvous":
            salt = np.arange(options.hosts, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (ids[new, None] ^ salt) * np.uint64(0xBF58476D1CE4E5B9)
            home[new] = np.argmax(mixed ^ (mixed >> np.uint64(31)), axis=1)
        else:
            counts = np.bincount(home[home >= 0], minlength=options.hosts)
            for tenant in new:
                fewest = int(np.argmin(counts))
                home[tenant] = fewest
                counts[fewest] += 1
        tally.wakes += len(new)
        hosts.of = np.where(calling, home, hosts.of)
        _count(hosts, wanted, tally)
    return tally


def _wake(hosts: Hosts, cold: npt.NDArray[np.int64], rules: Rules, tally: Tally) -> None:
    counts = np.bincount(hosts.of[hosts.of >= 0], minlength=len(hosts.names))
    loads = np.bincount(hosts.of[hosts.of >= 0], hosts.work[hosts.of >= 0], minlength=len(hosts.names))
    nobody = TenantSight("", 1, 0.0, 0, 0.0, 0)
    sights = {
        name: HostSight(name, HostCondition.SERVING, "", (nobody,) * int(counts[number]), float(loads[number]))
        for number, name in enumerate(hosts.names)
        if name
    }
    for tenant in cold:
        name = host_for(str(tenant), list(sights.values()), rules)
        if name not in sights:
            hosts.names.append(name)
            sights[name] = HostSight(name, HostCondition.SERVING)
        sights[name] = replace(sights[name], tenants=(*sights[name].tenants, nobody))
        hosts.of[tenant] = hosts.names.index(name)
    tally.wakes += len(cold)


def _sights(hosts: Hosts) -> list[HostSight]:
    held: list[list[TenantSight]] = [[] for _ in hosts.names]
    for tenant in np.flatnonzero(hosts.of >= 0).tolist():
        held[hosts.of[tenant]].append(TenantSight(str(tenant), 1, 0.0, 0, float(hosts.work[tenant]), 0))
    return [
        HostSight(name, HostCondition.SERVING, "", tuple(seen), sum(each.work for each in seen))
        for name, seen in zip(hosts.names, held, strict=True)
        if name
    ]


def _count(hosts: Hosts, wanted: Floats, tally: Tally) -> None:
    loads = hosts.loads(wanted)
    there = [number for number, name in enumerate(hosts.names) if name]
    shared = loads[[number for number in there if dedicated_to(hosts.names[number]) is None]]
    if shared.sum() > 0:
        tally.imbalance.append(float(shared.max() / shared.mean()))
        tally.imbalance_of_all.append(float(loads[there].max() / loads[there].mean()))
    tally.overload += float(np.maximum(loads[there] - 1.0, 0.0).sum())
    tally.work += float(loads[there].sum())
    tally.hosts.append(len(there))


def _rows(name: str, tally: Tally, options: Options) -> list[Measurement]:
    tenant_hours = options.tenants * options.hours
    rows = [
        Measurement(f"{name}: busiest shared host over mean, median", percentile(tally.imbalance, 0.5), "x"),
        Measurement(f"{name}: busiest shared host over mean, p99", percentile(tally.imbalance, 0.99), "x"),
        Measurement(f"{name}: busiest of all hosts over mean, median", percentile(tally.imbalance_of_all, 0.5), "x"),
        Measurement(f"{name}: busiest of all hosts over mean, p99", percentile(tally.imbalance_of_all, 0.99), "x"),
        Measurement(f"{name}: work beyond one core a host", 100 * tally.overload / tally.work, "%"),
    ]
    if name == "policy":
        rows += [
            at_most("policy: moves per tenant and hour", tally.moves / tenant_hours, "moves", 0.1),
            Measurement("policy: promotions", tally.promotions, "tenants"),
            Measurement("policy: cold wakes", tally.wakes, "tenants"),
            Measurement("policy: hosts, median", percentile(tally.hosts, 0.5), "hosts"),
            Measurement("policy: hosts, most", max(tally.hosts), "hosts"),
        ]
        if tally.relief_s:
            rows.append(
                Measurement("policy: flash crowd to a host of its own, median", percentile(tally.relief_s, 0.5), "s")
            )
    return rows


def run(options: Options) -> Report:
    """All policies on the same load."""
    policy = simulated(options)
    rows = _rows("policy", policy, options)
    peers = {name: peer(options, name) for name in ("rendezvous", "random", "fewest tenants")}
    for name, tally in peers.items():
        rows += _rows(name, tally, options)
    best = min(percentile(tally.imbalance_of_all, 0.99) for tally in peers.values())
    ratio = percentile(policy.imbalance_of_all, 0.99) / best
    rows.append(at_most("policy p99 imbalance of all hosts / best peer's", ratio, "x", 1.0))
    return Report("placement_sim", tuple(rows))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement_sim", description=__doc__)
    parser.add_argument("--tenants", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--exponent", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    report = run(Options(**vars(parser.parse_args(arguments))))
    report.save()
    for row in report.measurements:
        print(f"{row.what:60s} {row.value:12.3f} {row.unit:8s} {row.target}")


if __name__ == "__main__":
    main()
