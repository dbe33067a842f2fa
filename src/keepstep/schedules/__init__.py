"""Schedules: runs that are started by the calendar. What is in this room is loaded when it is used.

``Calendar`` describes firings field by field, ``upcoming`` previews them; all else is reached by ``Engine.schedule``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calendar import Calendar
    from .history import ScheduleEvent
    from .info import FiringInfo, ScheduleInfo
    from .overlap import Overlap
    from .preview import upcoming

__all__ = ["Calendar", "FiringInfo", "Overlap", "ScheduleEvent", "ScheduleInfo", "upcoming"]

_MODULES = {
    "Calendar": "calendar",
    "FiringInfo": "info",
    "Overlap": "overlap",
    "ScheduleEvent": "history",
    "ScheduleInfo": "info",
    "upcoming": "preview",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
