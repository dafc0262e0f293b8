"""Drift: what the live database has otherwise than the migrations made it.

The migrations are run in a scratch database, and both catalogs are read in the same words (`catalog`). What differs,
also when PostgreSQL has read its own words again (`rereading`), is printed with the SQL that repairs it (`comparing`).
Only schemas that migrations made are looked at, and nothing is changed.
"""
