"""Many runs of one code: what is begun when, where, and what comes of it."""
