"""An app with a ledger, for the admin."""
