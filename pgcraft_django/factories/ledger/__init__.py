"""PGCraftLedger: entries that are added and never changed, with balances that PostgreSQL keeps beside them.

`model` is the abstract model with its factory, `objects` the triggers of every ledger, `balance` and `double_entry` are
the plugins, `reading` and `writing` what a manager can do.
"""
