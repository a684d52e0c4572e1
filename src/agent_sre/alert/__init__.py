"""What Alertmanager says: `payload` reads the wire, `alert` is the noun, `subject` finds what is really broken, `inbox` keeps every body."""
