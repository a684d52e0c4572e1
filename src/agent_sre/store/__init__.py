"""One database. `engine` runs transactions, `wal` keeps their log short, `schema` says what the tables are, `migrations` brings an older file up to
date.

The rooms above own their rows: each has a `store.py` with functions of a connection, and runs them through `Store.read` and `Store.write`.
"""
