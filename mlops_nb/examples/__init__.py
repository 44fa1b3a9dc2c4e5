"""Reference projects; nothing imports them but their own notebooks."""
