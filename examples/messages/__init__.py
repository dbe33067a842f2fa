"""A shopping basket that lives as long as its customer: signals, queries, updates, and a new run when it grows.

python -m examples.messages [DATABASE_URL]
"""
