"""Drift: what the live database has otherwise than the migrations made it.

The migrations are run in a scratch database (`scratch`), and both catalogs are read in the same words (`reading`, and
the `.sql` files in `catalog`; `roles` for those of the cluster). What differs, also when PostgreSQL has read its own
words again (`rereading`), is told with the SQL that repairs it (`comparing`). `detecting` does it all. Only schemas
that migrations made are looked at, and nothing is changed.
"""
