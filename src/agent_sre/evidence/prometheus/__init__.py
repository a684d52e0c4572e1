"""Evidence from Prometheus: `client` speaks its HTTP API, `promql` takes expressions apart, `source` plans and answers queries."""
