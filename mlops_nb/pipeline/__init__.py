"""Stages, their fingerprints, and the pipeline that DVC runs."""
