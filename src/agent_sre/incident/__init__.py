"""A problem that somebody has: one or more alerts, their common subject, what happened when."""
