"""Many files on many machines: inputs into result files, by Ray Data.

import emorec_ray

totals = emorec_ray.run(["/shared/videos"], out_dir="/shared/results", resume=True)
for outcome in totals.outcomes:
    print(outcome.source, outcome.status, outcome.cause)
"""

from __future__ import annotations

from emorec_ray.cluster import Cluster
from emorec_ray.running import run

__all__ = ["Cluster", "run"]
