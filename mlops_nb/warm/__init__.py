"""Processes that have done the slow part of starting before anybody asks for it."""
