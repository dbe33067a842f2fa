"""A shop that finds its orders: by customer, by amount, by what is overdue.

python -m examples.search [DATABASE_URL]
"""
