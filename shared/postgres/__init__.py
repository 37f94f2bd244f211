"""One service's own database: connections, transactions, statements in files, migrations."""
