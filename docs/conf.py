"""Sphinx configuration. Builds without a network, then without links to other projects; no page needs one either."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "recurrent_dynamics"
author = "The recurrent_dynamics developers"
copyright = f"2026, {author}"
version = release = installed_version("recurrent-dynamics")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # equations are drawn without a network: MathJax is copied beside the pages
    "numpydoc",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "cell_pages",
    "gallery_sections",
    "measured_tables",
    "predicted_walks",
    "reachable_inventories",
    "self_contained",
    "whole_figures",
]
exclude_patterns = ["_build", "_templates", "_extensions"]
templates_path = ["_templates"]
default_role = "code"
highlight_language = "python"
nitpicky = False
smartquotes = False  # h' is the next h, not the end of a quotation

autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"[/\\]plot_",
    "copyfile_regex": r"index\.rst",  # the index is written by hand: sections in the order of gallery_sections
    "backreferences_dir": "generated/examples",  # without it each minigallery warns
    "minigallery_sort_order": "gallery_sections.position",
    "thumbnail_size": (400, 280),
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "show_memory": False,
    "capture_repr": ("_repr_html_",),
    "plot_gallery": True,
    "write_computation_times": False,  # their pages take scripts from other hosts
    "reset_modules": ("matplotlib",),
}

reachable_inventories = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "matplotlib": "https://matplotlib.org/stable/",
}

html_theme = "pydata_sphinx_theme"
html_title = "recurrent_dynamics"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "recurrent_dynamics"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
# Code and figures want the width of the page; breadcrumbs and lists lead through a section.
html_sidebars = {"**": []}
