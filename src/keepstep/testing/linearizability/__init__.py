"""Linearizability of the client API: could what concurrent clients saw have happened one call after the other?

Clients start, signal, update, query, cancel, terminate, describe and await runs of few workflow ids, all at once and
through several processes that are killed and stores that fail; each call is recorded with the moments at which it was
made and answered (``recording``). The history is right if there is an order of the calls that respects those moments
and in which each got the answer that the sequential ``model`` would have given. ``checker`` looks for such an order.

A client whose process died, or whose store said ``StoreUnavailable``, does not know whether its call happened: such a
call fits with or without an effect, at any time after it was made.

    python -m keepstep.testing.linearizability --histories N [--seed S] [--store memory|sqlite] [--plant NAME]

``memory`` runs engines in virtual time (``simulated``), ``sqlite`` runs real processes that die by SIGKILL
(``processes``). The last line is a ``keepstep.testing.scoreboard.Score``. The check is checked itself: ``--plants``
lists bugs that can be planted, each of which it must find.

No checker for recorded histories is published for Python (Knossos and Elle are Clojure, Porcupine is Go); ours follows
Porcupine's algorithm, and is tested against an exhaustive search.
"""

from .checker import Model, Verdict, find_order
from .operation import Operation

__all__ = ["Model", "Operation", "Verdict", "find_order"]
