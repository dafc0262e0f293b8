"""The documentation is executed: a reader does what each page says, from top to bottom, and compares what happens."""
