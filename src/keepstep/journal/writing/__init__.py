"""Writing: group commit, whichever SQL database is written to.

=================  ====================================================================================================
``journal``        what callers hold: writes queue for the next group, questions go to a reader (``questions``)
``writer``         the one writer of a process, round after round; ``drive`` is the thread that makes the rounds
``flush``          a group of ``deciding`` operations in one transaction; ``renewal`` renews the leases of the process
``stall``          tells for how long this process could not write
``bus``            how hints travel between the processes of one database
=================  ====================================================================================================
"""
