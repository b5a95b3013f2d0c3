"""What ticketdb costs and gains, as ratios of loads measured in turn. Run it: `python -m bench`."""
