"""Load: what a server bears: reads of the list page, watchers, and starts, on one core, beside a million runs."""
