"""The remote store: the journal of a Keepstep server, asked over HTTP by clients that have no database.

A client is the same whatever it stands on, because what it stands on is the port; so this is where a program becomes
remote. ``words`` is what is said over the wire, in both directions, and knows no HTTP; the server answers in the same
words (``server/api/journal``). ``transport`` asks, again where that does no harm; ``watch`` turns the server's live
changes into hints; ``journal`` is the port made of these.

What only a worker does (leases, claims, tasks), and what is about a database itself (transactions, moving, sealing
anew), has no words: it cannot be said from here, whoever tries.

Values travel as they are sealed where the client has a codec of its own: encrypted before they leave it, and opened
when they have come back. The server passes on what it cannot read.
"""
