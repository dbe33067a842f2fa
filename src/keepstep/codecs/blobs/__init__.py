"""Blobs: where the content of large cells is kept, beside the journal.

``port`` says what such a place offers, ``files`` is a folder, ``s3`` whatever speaks S3 (an extra). A blob is written
and durable before the commit whose cell refers to it, so that no cell ever refers to nothing; one whose commit did not
happen is found and removed by ``keepstep sweep-blobs`` (``codecs.sweeping``).
"""

from .files import FileBlobs
from .port import BlobMissing, BlobStore

__all__ = ["BlobMissing", "BlobStore", "FileBlobs"]
