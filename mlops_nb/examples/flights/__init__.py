"""The reference project: whether a flight from New York will arrive 15 minutes late or more."""
