"""How Alembic reaches our connection. There is no offline mode: the application migrates its own file at start."""

from __future__ import annotations

from alembic import context

from agent_sre.store.schema import metadata

# The caller's transaction is the only one: Alembic sees that it has begun and neither begins nor commits.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
