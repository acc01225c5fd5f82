"""Functions for foreign text: clean it, make it readable, fit it into a limit. No I/O.

The order of use:

    clean       any string to one printable line
    readable    LaTeX, HTML entities and stray markup to Unicode; titles to the form in which they are compared
    latex       the LaTeX in it, with `latex_tables`
    fit         readable text to snippets, lines, mail headers and terminal tables
    finding     the sentences of an abstract that say what the paper found
"""

__all__ = ["clean", "finding", "fit", "latex", "readable"]
