"""Expenses on FastAPI: async views, an async workflow that waits for a person, and sync steps (docs/sync.md)."""
