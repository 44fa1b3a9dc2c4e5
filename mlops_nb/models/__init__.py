"""Models as files that can be trusted and compared."""
