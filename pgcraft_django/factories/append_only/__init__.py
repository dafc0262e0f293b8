"""PGCraftAppendOnly: the model's table holds the current rows, a history table beside it all former versions.

`model` declares, `objects` and the `.sql` files are what PostgreSQL does, `queries` and `versions` are for the ORM,
and `admin` is for the admin.
"""
