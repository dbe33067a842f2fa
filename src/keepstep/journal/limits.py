"""Documented limits. Whatever is over a limit is refused with ``TooLarge`` and changes nothing."""

from __future__ import annotations

PAYLOAD_BYTES_MAX = 2 * 1024 * 1024
"""One argument list, result, signal value or heartbeat detail."""

EVENT_BYTES_MAX = 4 * 1024 * 1024
"""The data of one event."""

COMMIT_BYTES_MAX = 16 * 1024 * 1024
"""Everything that one commit carries."""

HISTORY_EVENTS_MAX = 1_000_000
"""Events of one run. A workflow that needs more continues as new."""

HISTORY_BYTES_MAX = 1024 * 1024 * 1024
"""Bytes of event data of one run."""

IMPORT_BYTES_MAX = 256 * 1024 * 1024
"""Everything of one run that comes from elsewhere: it is written by one transaction, for which others wait."""

MOMENT_MAX = 253_402_300_799_999_999
"""The last microsecond of the year 9999, behind which no moment can be shown."""

COUNT_MAX = 2**31 - 1
"""Of what is counted of one run: every store has room for it."""

INBOX_MESSAGES_MAX = 100_000
"""Unconsumed messages of one run; further sends are refused with ``Overloaded``."""

WORKFLOW_ID_CHARS_MAX = 512
NAME_CHARS_MAX = 512

QUEUE_OPERATIONS_MAX = 50_000
"""Operations waiting for the next group commit of one process; above it, ``Overloaded``."""
