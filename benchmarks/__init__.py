"""The workloads behind ``docs/benchmarks.md``: run ``make bench`` or ``make bench-quick``."""
