"""Resources as inputs, and their life: listed, edited, deleted, kept for a while, removed."""
