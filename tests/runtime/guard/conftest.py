from tests.runtime.guard.sources import sources

__all__ = ["sources"]
