"""The site of the documents, as Sphinx builds it: ``make docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Keepstep"
author = "the Keepstep developers"
project_copyright = author
version = release = version_of("keepstep")

extensions = ["myst_parser", "sphinx.ext.autodoc", "reference_of"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
maximum_signature_line_length = 90

suppress_warnings = ["misc.highlighting_failure"]
"""A diagram in Mermaid's language is shown as its text; it is drawn where the repository is."""

html_theme = "furo"
html_title = "Keepstep"
html_static_path: list[str] = []
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
