"""A run whose worker is killed in the middle of a step, as one trace."""
