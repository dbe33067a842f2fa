"""Schedules: runs that are started by the calendar. ``import keepstep`` does not load this room.

``Calendar`` describes firings field by field, ``upcoming`` previews them; all else is reached by ``Engine.schedule``.
"""

from .calendar import Calendar
from .overlap import Overlap
from .preview import upcoming

__all__ = ["Calendar", "Overlap", "upcoming"]
