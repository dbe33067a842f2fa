"""Scoreboard: runs every part of the torture for a given time and writes down what was tried and what was lost.

**The agreement.** A part is a program (``python -m keepstep.testing.simulation``, ``….power``, …) that

* takes a number of tries and ``--seed S``, and tries seeds S, S+1, …;
* prints what it likes, and as the **last line** of its standard output one JSON object, a ``Score``::

      {"part": "power", "tried": 200, "lost": 0, "seeds": [1, 200], "unit": "power cuts", "seconds": 31.2,
       "replay": [], "counts": {"acknowledged commits": 91244}}

* exits with 0 if and only if nothing was lost.

``tried`` counts what the part is named for, in ``unit``: simulations, programs × faults, power cuts, kills. ``lost``
counts findings: seeds or checks that failed, whatever the promise. ``seeds`` are the first and the last seed tried, or
null where nothing is drawn. ``replay`` holds one command for each finding (the first few), which shows it again.
``counts`` is for anything else worth a place in the table, name → number. Over several runs equal names are added up,
but of a name that ends in ``, at most`` the largest is taken. ``commit`` says what was tried; ``line`` fills it in.

A part that ends without such a line, or says that it lost nothing and exits with another code than 0, is *broken*, and
counts as lost. The line is written by ``Score.line`` and read by ``read_score``, both in ``score``.
"""

from .score import Score, read_score

__all__ = ["Score", "read_score"]
