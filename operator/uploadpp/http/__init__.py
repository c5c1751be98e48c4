"""What every HTTP client of ours needs, whoever answers."""
