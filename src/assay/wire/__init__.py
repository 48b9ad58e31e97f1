"""The shared language: frozen structs for what crosses a boundary. No I/O, no SQL, no HTTP.

One module a noun; import from it (`from assay.wire.spans import Span`). What a vendor's format allows and these
structs do not model stays in the raw JSON beside them, so nothing that came in is lost on its way out.
"""
