"""Reads the monitoring views: dashboards on a terminal, and a plugin for Nagios."""
