"""Other packages on the same work."""
