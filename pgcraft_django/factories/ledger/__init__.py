"""PGCraftLedger: entries that are added and never changed, with balances that PostgreSQL keeps beside them.

`shape` reads the declaration, `checks` judges it, `model` is the abstract model with its factory, `objects` the
triggers of every ledger, `keys` and `partitions` what it may have besides, `api` the functions that book over HTTP.
`balance`, with the triggers in `balance_objects`, and `double_entry` are the plugins. What a manager can do is in
`reading`, `rollups`, `writing` and `verifying`; `fixtures` is for `loaddata`, and `admin` for the admin.
"""
