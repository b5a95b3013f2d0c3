"""The documentation site, see `make docs`: a dead link or a page without a place is an error."""

project = "ticketdb"
author = "ticketdb contributors"
project_copyright = author  # no year: pages do not depend on the date

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True

myst_heading_anchors = 4  # links to headings, as GitHub names them
myst_fence_as_directive = ["mermaid"]

html_theme = "furo"
html_title = "ticketdb"
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_use_index = False
