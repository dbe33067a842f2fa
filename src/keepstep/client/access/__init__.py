"""Access: who may do what over HTTP. Keys of a database, and the roles that they give.

``role`` says what roles there are, ``grant`` where one holds, ``key`` what a key is and how one is told from another,
``ring`` where they are.
"""

from .grant import Grant
from .key import Key
from .ring import KeyRing
from .role import Role

__all__ = ["Grant", "Key", "KeyRing", "Role"]
