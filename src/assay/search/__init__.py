"""Finding: one question over everything that has a name or an id, for the command palette and for programs.

The one place that reads across rooms only to point at their pages; it changes nothing and keeps nothing.
"""
