"""`migdoctor --help` against `import sqlalchemy`: cpu of fresh processes, in pairs."""

import statistics
import sys

from tests.bench.graph import cpu

CEILING = 0.25


def measure(pairs: int = 11) -> list[tuple[str, float, float]]:
    """(name, median of the ratios of all pairs, ceiling); one warm-up of each is discarded."""
    ours = [sys.executable, "-m", "migdoctor", "--help"]
    theirs = [sys.executable, "-c", "import sqlalchemy"]
    cpu(ours), cpu(theirs)
    ratios = [cpu(ours)[0] / cpu(theirs)[0] for _ in range(pairs)]
    return [("migdoctor --help / import sqlalchemy (cpu)", statistics.median(ratios), CEILING)]
