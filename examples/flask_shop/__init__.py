"""A shop on Flask: sync views, sync workflows, and one engine in the web server's own process (docs/sync.md)."""
