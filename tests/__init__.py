"""What Tutti promises, as tests."""
