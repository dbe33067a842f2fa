"""Order fulfilment: a process of several days, run through crashes, and audited from other people's books.

``workflow`` is the process itself and the first thing to read; ``steps`` is how it touches the outside world; ``world``
is that outside world, a process of its own that fails on purpose; ``demo`` runs it all and kills the workers meanwhile.
"""
