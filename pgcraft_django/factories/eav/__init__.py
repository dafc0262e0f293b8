"""PGCraftEAV: the model's relation is a view; a row is an entity with a document, and each change of it is logged.

A document is one value with the entity's attributes, of a composite type. That type is the row type of a table without
rows, `<table>_document`, a companion model: what Django does to its columns when fields come, go or are renamed, it
does to the attributes of all documents, and touches none of them.
"""
