"""Resources as inputs, and what becomes of them: listed, edited, deleted, kept for a while, removed."""
