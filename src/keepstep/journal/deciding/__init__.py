"""Deciding: what happens to a run, whichever SQL database keeps it. One home for the rules of all of them.

=================  ====================================================================================================
``operation``      a verb on its way from a caller through a group to its answer
``picture``        what a group knows of runs (``head``) and is about to change (``drawing``)
``change``         decides on it what a commit does; ``start``, ``ownership``, ``task``, ``asking``, ``retention`` do so
                   for all else
``turn``           what a queue with limits hands out next, for all stores; ``queueing`` does it, and keeps tickets
``tables``         what decisions ask of a database and have it do: the one interface that each of them answers
``news``           collects what others want to hear of a group
``codes``          the numbers that stand for statuses and conditions on disk
=================  ====================================================================================================

Nothing here knows SQL, threads or connections.
"""
