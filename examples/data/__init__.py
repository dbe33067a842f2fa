"""A clinic whose letters nobody reads in its database, whatever the store, and whose keys are replaced while it works.

python -m examples.data [DATABASE_URL]
"""
