"""What every other package stands on: canonical JSON, atomic files, the project."""
