"""Archive: closed runs as compressed JSON Lines, outside of any database.

=============  =======================================================================================================
``recording``  one run as JSON, in a file of its own or as a line; sealed, where the engine that wrote it has keys
``file``       many lines, compressed; what can be read of a file that is torn
``place``      where files are: a folder, or a bucket that speaks S3; each is there whole, or not at all
``archive``    what is at a place: each run once, however often a crash has had it written
=============  =======================================================================================================

Everything blocks: callers with an event loop go to a thread.
"""

from .archive import Archive, Archived
from .place import Place, place_at
from .recording import Recorded, decode_recording, encode_line, encode_recording

__all__ = [
    "Archive",
    "Archived",
    "Place",
    "Recorded",
    "decode_recording",
    "encode_line",
    "encode_recording",
    "place_at",
]
