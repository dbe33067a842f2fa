"""An upload that is given up, and has cleaned up behind itself before the workflow goes on.

python -m examples.cancelling [DATABASE_URL]
"""
