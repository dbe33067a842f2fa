"""A shop that keeps its closed orders for a while, archives them, and looks at old ones again.

python -m examples.life_cycle [FOLDER]
"""
