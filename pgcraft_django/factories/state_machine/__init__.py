"""PGCraftStateMachine: rows that go from state to state as declared, each step in a log, one of two rivals winning.

`machine` reads the declaration, `objects` turns it into triggers and functions, `checks` judges it, `model` is the
abstract model with its factory.
"""
