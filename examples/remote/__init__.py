"""A program that has no database: it is a client of a server, whose worker runs the orders. See docs/remote.md."""
