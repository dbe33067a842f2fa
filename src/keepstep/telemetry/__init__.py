"""Telemetry: what others see of runs at work: log lines, metrics and traces.

Nothing in here decides anything for a run, and nothing of it is loaded that needs more than Keepstep's own packages,
unless it is imported by name.
"""
