"""Changing the code of runs that are under way: three versions of a workflow, and a walk through their deploys."""
