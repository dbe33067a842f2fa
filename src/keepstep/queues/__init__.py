"""Queues: their declaration in code, and how a start says that its run waits on one.

==================  ===================================================================================================
``limits``          limits as users write them, checked
``declaration``     ``keepstep.queue(...)``, and telling the journal
``waiting``         priority, key, delay and deduplication of a start
==================  ===================================================================================================

What a queue is, and which of what waits goes next, is in the journal (``journal.queue``, ``journal.deciding.turn``).
"""
