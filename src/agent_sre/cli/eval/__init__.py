"""`agent-sre eval`: how often the rules are right, measured on recorded incidents whose cause is known."""
