"""Poison: runs that cannot go on, beside others that must not notice.

``python -m keepstep.testing.chaos.poison --rounds N [--seed S]``. A round has a database, two worker processes and a
client, all real.

1. Some dozen runs are brought to sleep, waiting for a signal. Then half of them are poisoned behind the engine's back
   (``potions``): events that cannot be decoded, types that nobody knows, broken payloads, state and messages.
2. For some seconds the client runs errands, one after the other in each of a few lanes, and measures each. Time is cut
   into short blocks: in one block poisoned sleepers are woken, in the next as many healthy ones, ABBA, so that whatever
   else the machine does happens to both alike. Every poisoned run must be parked for a reason that is told, every
   healthy one must end, and both workers must live.
3. Then poisonous *code* is started: runs whose workflow or step kills the worker, and one that never yields. Workers
   that die are replaced, as a supervisor would. Errands must go on meanwhile, the killers be quarantined, and the
   endless one be blocked.

The 99th percentile of errands in poisoned blocks may be a tenth above that in the others. One round is too noisy to
say so: its ratio is taken, and of all rounds the median. There are at least as many rounds as asked for; while the
median is too high there are more, up to three times as many, and then it counts as lost. Bad luck is evened out by
that, and a poison that really costs the others something is not (``--plant park-slowly``).
"""
