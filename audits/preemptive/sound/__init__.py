"""What is done to marked sound to take its mark away, and how that is counted."""
