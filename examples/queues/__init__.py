"""A shop that renders pictures on few machines, mails politely, and works for one customer after another.

python -m examples.queues [DATABASE_URL]
"""
