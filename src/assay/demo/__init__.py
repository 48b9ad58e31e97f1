"""The whole loop on a real local model, as a client of the HTTP API and with nothing that a user could not do.

A dataset that the package ships (`reviews.jsonl`, 144 short reviews written for it), two prompts for one task, a run of
each, a paired verdict, a release of the winner, and live calls with the official client.
"""
