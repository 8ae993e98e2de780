"""Cases of `cell_checks` that run on the device, which in the simulator is this machine."""

from __future__ import annotations

from typing import Any

import cell_checks
from cell_checks import Case

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cuda.device_model import Device

SMALL = Device("a small device", multiprocessors=2, shared_bytes=16 << 10, threads=12, lanes=2)


class OnDevice(Case):
    def run(self, point=None, **options: Any):
        point = self.point if point is None else point
        return rd.forward(
            self.cell,
            cell_checks.group(point, "params"),
            point["x", ""],
            initial=cell_checks.group(point, "initial"),
            lengths=self.lengths,
            reset=self.reset,
            signals=cell_checks.group(point, "signals"),
            memory=cell_checks.group(point, "memory"),
            memory_lengths=self.memory_lengths,
            device="cuda",
            **options,
        )


def case(cell, rng, **options) -> OnDevice:
    c = cell_checks.case(cell, rng, **options)
    return OnDevice(c.cell, c.point, c.lengths, c.reset, c.memory_lengths)


def check(c, rng):
    cell_checks.check_forward(c)
    cell_checks.check_backward(c, rng, every_entry=False)
    cell_checks.check_outputs(c, rng)
    cell_checks.check_tangent(c, rng)
    cell_checks.check_states(c, rng)
    if not c.cell.memory:  # whose Jacobians the CPU engine alone computes
        cell_checks.check_jacobian(c, rng)
