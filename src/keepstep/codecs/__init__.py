"""Codecs: what lies between the languages and the journal's disk: compression, encryption, and large values elsewhere.

==============  =======================================================================================================
``codec``       what an engine is given: makes *cells* of data, and data of cells
``binding``     the place that a cell is made for, and without which it cannot be opened
``keys``        the keys of AES-GCM by their ids, and the file they are in
``compression`` zlib, and zstd where Python has it
``blobs/``      where large cells are kept: folders, and S3-compatible stores
``sealing``     cells on their way to the journal   ``opening``   and back
``storage``     a codec with its blobs: kept before they are referred to, fetched before cells are opened
``journal``     the seam: a journal whose callers see plain data, and whose disk sees cells
``reading``     its half that reads       ``ordering``   commits of a run in their order, whichever wait for blobs
``outbox``      the same in somebody else's transaction
``restraint``   leaves queues to others whose tasks cannot be read here
``view``        the same for a process that only looks   ``environment``   the codec of commands
``resealing``   all cells of a journal under the newest key   ``sweeping``   blobs that no cell refers to any more
``witness``     whether something was decrypted on somebody's behalf
==============  =======================================================================================================

A language writes and reads data as if there were no codecs. Everything of a user's passes the seam: event data,
messages, tasks, state, asks and answers, what a run waits for, and digests of inputs. What the journal itself must read
stays as it is: ids, names, keys of operations, times, queues, attributes, status texts. ``docs/data.md`` has the list.
"""

from .blobs import BlobStore, FileBlobs
from .codec import Codec
from .keys import Keys

__all__ = ["BlobStore", "Codec", "FileBlobs", "Keys"]
