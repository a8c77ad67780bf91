"""Faults: thousands of executions while workers, schedulers, Redis and PostgreSQL are torn at.

    python benchmarks/chaos.py --minutes 4 --seed 1

The door to the package of the same name, which wins wherever ``chaos`` is imported; what is done
and what is checked stands in docs/faults.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from benchmarks.chaos.main import main

    sys.exit(main())
