"""The basement: what every floor needs and no floor owns. Errors, clock, durations, HTTP clients, redaction, text, logs, metrics."""
