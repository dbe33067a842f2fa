"""Two shops send parcels by one database, and one of them has a bad day: many runs are spoken to at once.

python -m examples.bulk [DATABASE_URL]
"""
