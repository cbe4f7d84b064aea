"""How many threads torch takes."""

from __future__ import annotations

import os

import torch

from emorec_rt.machine.cores import usable_cores


def use_cores() -> int:
    """Give torch a thread for each core of this process, and say how many cores there are.

    ``OMP_NUM_THREADS`` has the last word: threads of several programs on the same cores wait for one another.
    torchrun sets it to 1 by itself; its processes on one machine share the cores.
    """
    cores, processes = usable_cores(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    wish = os.environ.get("OMP_NUM_THREADS", "") if processes == 1 else ""
    threads = int(wish) if wish.isdecimal() else cores // processes
    torch.set_num_threads(max(1, threads))
    return cores
