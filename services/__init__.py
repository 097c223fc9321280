"""The three services, and the chassis they share."""
