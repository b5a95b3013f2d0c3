"""What people and Nagios look at: the monitoring views, drawn on a terminal or told in a line.

It only reads. What installs and verifies the database, `ticketdb`, does without it.
"""
