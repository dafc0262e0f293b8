"""PGCraftLogin: who has got tokens, and until when; and the function that PostgREST asks before each request.

`model` is the declaration, `ending` how a login ends, `objects` what is in the database beside the table.
"""
