"""Traces: what happened, as people and programs ask for it.

Lists with filters, one trace with its waterfall and conversation, the overview, and feedback (scores) on the way in.
Everything is read from the span store; nothing here is on the path of a call.
"""
