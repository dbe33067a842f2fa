"""``python -m keepstep.cli`` does what ``keepstep`` does."""

from .command import main

main()
