"""What users' tests, and our own, stand on. Nothing in the engine imports this room."""

from .virtual import RealInputOutput, Stuck, VirtualClock, VirtualLoop, run

__all__ = ["RealInputOutput", "Stuck", "VirtualClock", "VirtualLoop", "run"]
