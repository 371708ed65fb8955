"""The embedded product "Tracklight": help centre, tickets, recorded teacher, product file."""
