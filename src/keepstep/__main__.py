"""``python -m keepstep`` does what ``keepstep`` does."""

from keepstep.cli import main

main()
