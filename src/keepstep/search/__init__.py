"""Search: the language in which runs are looked for, close to Temporal's list filters.

``WorkflowType = 'fulfil_order' AND Status = 'running' AND customer = 'c7' ORDER BY StartTime DESC``

A filter's text is cut into tokens (``token``), understood (``parser``, ``syntax``), and its names and values are made
fields and values of their types (``binding``); stores are asked by what comes out (``journal.search``), and never see
the text. Whatever is wrong with it is a ``FilterError`` that names the place and what was expected.
"""

from .binding import Vocabulary, read_grouping, read_search, runs_vocabulary
from .error import FilterError

__all__ = ["FilterError", "Vocabulary", "read_grouping", "read_search", "runs_vocabulary"]
