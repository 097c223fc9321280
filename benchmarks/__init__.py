"""Measures what is claimed of speed, in turns with what others do for the same job."""
