"""PGCraftStateMachine: rows that go from state to state as declared, each step in a log, one of two rivals winning.

`machine` reads the declaration, `checks` judges it, `model` is the abstract model with its factory, `objects` turns it
into triggers and functions, and `signature` is what one of them takes. `orm` is `instance.state_machine`, `validating`
is for forms, `admin` for the admin, and `graph` draws.
"""
