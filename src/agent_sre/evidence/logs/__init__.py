"""Log lines as a few patterns with counts: `lines` reads any format, `masking` takes out what varies, `levels` says how urgent, `mine` counts."""
