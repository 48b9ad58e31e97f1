"""The command line's nouns, one module each. Every command is a client of the HTTP API and nothing else, so the same
command works on a server elsewhere, on the one that holds the data directory, and on a directory that nobody serves; and
it needs none of the server's dependencies (docs/decisions/0070-commands-are-clients.md)."""
