"""Simulation: whole engines under virtual time, tortured by a seeded plan, and judged by what the outside world saw.

    python -m keepstep.testing.simulation --seeds 1000 --seed 1 --store memory

One seed is one story. Two or three worker processes stand on one store; customers start twenty-odd runs of generated
programs (``programs``, ``language``), signal them, cancel a few; in a third of the stories others have them started by
schedules (``planners``); callbacks are called back; a subscriber follows the log; and meanwhile everything goes wrong
that is planned in ``faults`` and all that ``trouble`` does to store calls, answers and hints. In the end an operator
deploys the newest code and looks after what waits for a person; then every run must have come to its end, and the
``checkers`` compare what the journal says with what happened outside.

Fault model

* A process can stop at any microsecond, for ever or for a while; in between nothing of it runs. Store calls, effects
  and hints take time, so that every ``await`` of the engine is a place where it can stop.
* A store call can fail without having happened, fail having happened, or fail late having happened. A flush of the
  SQLite store can meet a full disk or an I/O error before, at, or after its COMMIT. On PostgreSQL every exchange with
  the server is a step of its own, between which others go on, transactions stay open and locks are waited for; and
  each can break off before it has happened, having happened, long after that, or be executed later, when its process
  has connected anew already (``postgres_faults``). The server can be away for seconds.
* A process can be taken for dead while it lives, and it can go on after others took over what it owned.
* Hints are lost, doubled, late. Messages are repeated by whoever got no answer, under the same id.
* The wall clock of any process can be moved by years. Code is deployed back and forth, some of it contradicting.
* Not here, but in tests of their own: torn and unsynced writes of the disk (``keepstep.testing.power``), real processes
  and real kills (``keepstep.testing.chaos``), damaged rows and payloads.

The same seed gives the same story, to the byte, on every Python version and under every ``PYTHONHASHSEED``. A seed that
fails prints one command that tells its story again with ``--trace``. ``--plant NAME`` puts a known bug into the engine
(``plants``), to see that it is found.
"""

from .simulation import Report, simulate

__all__ = ["Report", "simulate"]
