"""What `make` needs besides the package."""
