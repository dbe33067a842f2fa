"""The outside world: payment gateway, warehouse, carrier, mailer and pickers, in a process of their own.

It knows nothing of the engine. It answers HTTP requests, calls back later, keeps its own books, and fails on purpose:

- errors before anything was done, and errors *after* everything was done;
- slow answers, and answers that come only when nobody waits for them any more;
- webhooks that come twice, and webhooks that come while no worker is alive (repeated until somebody takes them);
- declined cards, empty shelves, carriers who come late or never.

Which order meets which trouble is decided by a seed, so that a run of the demo can be had again.
"""
