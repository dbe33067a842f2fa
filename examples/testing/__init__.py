"""A subscription that is paid for months, and its tests, which take a second: virtual time, mocks, chaos, replay.

pytest examples/testing
"""
