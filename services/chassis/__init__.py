"""What every service shares; it knows nothing of users, products or orders."""
