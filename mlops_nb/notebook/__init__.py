"""A notebook as a function: its signature, its values, its execution, its report."""
