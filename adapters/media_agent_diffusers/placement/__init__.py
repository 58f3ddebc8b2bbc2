"""Where a model lies while it works: planned from sizes and free memory before it is loaded."""
