"""What alembic runs: revisions over the connection that `ledger._schema` hands in, inside its transaction."""

from alembic import context

from ledger._tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite cannot alter most of a table; batches copy it instead.
    render_as_batch=True,
    # The driver's own transactions would not cover DDL on SQLite; ours do.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
