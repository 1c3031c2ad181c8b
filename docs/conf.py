"""Sphinx: the Markdown of this folder and the docstrings of the package as one site.

usage: tools/build_docs (a Sphinx of its own options: `sphinx-build -W -n docs build/docs`)
Nothing is fetched by a reader's browser: formulas become MathML, fonts are the system's.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

import sentei  # noqa: E402

project = "sentei"
author = "the authors of sentei"
release = version = sentei.__version__
copyright = "2026, the authors of sentei"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "mathml",
    "pages",
    "docstrings",
]
exclude_patterns = ["_ext", "_static", "_templates"]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"
nitpicky = True
# Types in signatures may be NumPy's, the standard library's or inner ones, which have no page.
nitpick_ignore_regex = [("py:.*", ".*")]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

add_module_names = False
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
# Names that the page of `sentei` itself explains.
autosummary_context = {
    "elsewhere": {
        "sentei.graph": ["Graph"],
        "sentei.io": ["load", "save"],
        "sentei.model": ["Model"],
    }
}
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [
    ("Cost", "params_style"),
    ("Source", "returns_style"),
]

html_theme = "furo"
html_title = f"sentei {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {"navigation_with_keys": True}
