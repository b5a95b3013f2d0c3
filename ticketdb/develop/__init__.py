"""Tools for developers of ticketdb. They need a checkout, and are not part of the wheel."""
