"""Small tools with no domain in them: ids, time, money, hashes, JSON, pages of lists, outbound URLs."""
