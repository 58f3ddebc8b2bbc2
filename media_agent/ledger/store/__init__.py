"""The SQLite file: the one module that knows the driver, the tables, and text that is kept."""
