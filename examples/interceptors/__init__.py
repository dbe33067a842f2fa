"""A shop for several tenants: for whom a run was started goes with it, and what every workflow does is written once.

python -m examples.interceptors [DATABASE_URL]
"""
