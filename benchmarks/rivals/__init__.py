"""What our services are compared with."""
