"""What is to be done, when, and who is doing it. `job` has the protocol, `embedded` the SQLite lease table, `metrics` what they count."""
