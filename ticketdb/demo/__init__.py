"""Simulated sales on a private server, and a check of every number reported."""
