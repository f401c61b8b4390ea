"""Settings that must stand before the first test imports a heavy package."""

from __future__ import annotations

import os

# Waiting OpenMP threads that spin make parallel tests several times slower on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
