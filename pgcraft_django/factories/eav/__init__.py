"""PGCraftEAV: the model's relation is a view; a row is an entity with a document, and each change of it is logged.

A document is one value with the entity's attributes, of a composite type. That type is the row type of a table without
rows, `<table>_document`, a companion model: what Django does to its columns when fields come, go or are renamed, it
does to the attributes of all documents, and touches none of them.

`document` says where attributes are, `sql` and `indexes` what that is in expressions, `rules` what must be true of
them, and `extra` lets users define more. `model` is the declaration, `objects` makes views, writes and the log of it,
`as_caller` the writes for models with policies, `upsert` those by a function of the API; `checks` judges the
declaration. `orm` is for the ORM, `validating` for forms, and `admin` for the admin.
"""
