"""Evidence from Loki: `client` speaks its HTTP API, `logql` writes queries, `labels` chooses whose log, `source` plans and answers."""
