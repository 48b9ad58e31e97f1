"""Pictures drawn on the server: SVG for pages and reports, plain text for the terminal. No dependency, no script.

Each picture is a function from values to `svg.Svg`. What it looks like is decided by classes and `charts.css` alone (the
pages allow no inline style), so light and dark need nothing here; `standalone` embeds that file for use elsewhere.
Meaning never rests on colour: an outcome has a shape and a word too, and every picture a title and a description.
"""
