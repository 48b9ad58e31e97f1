"""The chain of schema revisions of every room, forward only."""
